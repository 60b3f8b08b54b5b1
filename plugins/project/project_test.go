package project

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/plugins/manifest"
)

func options(dir string) Options {
	return Options{Name: "mine", Language: "go", Kind: adapters.KindLanguage, Dir: dir, Reserved: []string{"opt"}}
}

// wantError checks an error's kind and text.
func wantError(t *testing.T, err error, kind adapters.Kind, parts ...string) {
	t.Helper()
	if adapters.KindOf(err) != kind {
		t.Errorf("got %v, want an error of kind %q", err, kind)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
}

func TestInvalidNames(t *testing.T) {
	for name, want := range map[string]string{
		"":                         "call it mybackbone",
		"My Model":                 "call it my-model",
		"7b":                       "call it b",
		"x-":                       "call it x",
		"a_b":                      "call it a-b",
		"../x":                     "call it x",
		"bridge-adapter-x":         "call it x",
		"opt":                      "call it my-opt",
		"plugin":                   "call it after the model",
		strings.Repeat("long", 11): "at most 40",
	} {
		o := options(filepath.Join(t.TempDir(), "p"))
		o.Name = name
		_, err := New(o)
		wantError(t, err, adapters.Invalid, want)
		if _, err := os.Stat(o.Dir); err == nil {
			t.Errorf("%q: a folder was made", name)
		}
	}
}

// New does not change existing files.
func TestNewOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	for _, there := range []string{dir, t.TempDir(), file, link} {
		_, err := New(options(there))
		wantError(t, err, adapters.Invalid, there+" already exists", "--dir")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// No file of a project has the template's name, and every script is executable.
func TestProjectFiles(t *testing.T) {
	for _, language := range Languages() {
		for _, kind := range Kinds() {
			o := options(filepath.Join(t.TempDir(), "deep", "p"))
			o.Language, o.Kind = language, kind
			p, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			files := 0
			err = filepath.WalkDir(p.Dir, func(path string, entry os.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				files++
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				if bytes.Contains(text, []byte(templateName)) && !strings.Contains(path, "/sdk/") {
					t.Errorf("%s has the name %s", path, templateName)
				}
				if info, err := entry.Info(); err != nil || bytes.HasPrefix(text, []byte("#!")) != (info.Mode().Perm()&0o111 != 0) {
					t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
				}
				return nil
			})
			if err != nil || files < 10 {
				t.Errorf("%s, %s: %d files, %v", language, kind, files, err)
			}
		}
	}
}

// writeProject makes a plugin's folder with a manifest.
func writeProject(t *testing.T, text string) *Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, manifest.File), []byte("name = 'x'\nversion = '0.1.0'\nprotocol = [1]\nkind = 'vision-encoder'\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOpenErrors(t *testing.T) {
	_, err := Open(t.TempDir())
	wantError(t, err, adapters.NotFound, "is not a plugin's folder", "bridge plugin new")
}

func TestBuildShowsItsCommand(t *testing.T) {
	p := writeProject(t, "[build]\ncommand = \"A=b printf hello; touch bridge-adapter-x; chmod +x bridge-adapter-x\"\n")
	var out strings.Builder
	if err := p.Build(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if want := "in " + p.Dir + ": A=b printf hello; touch"; !strings.Contains(out.String(), want) || !strings.HasSuffix(out.String(), "hello") {
		t.Errorf("building shows %q, want %q and the output of the command", out.String(), want)
	}
	if err := writeProject(t, "").Build(t.Context(), &out); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "set [build] command") {
		t.Errorf("nothing to build, and no executable: %v", err)
	}
}

func TestBuildFails(t *testing.T) {
	for command, want := range map[string][]string{
		"echo why; exit 3":       {"x is not built", "exit status 3", "bridge plugin build"},
		"true":                   {"executable does not exist", "make [build] command and executable"},
		"touch bridge-adapter-x": {"cannot be run", "chmod +x"},
		"mkdir bridge-adapter-x": {"cannot be run"},
		"A=b no-such-tool":       {"exit status 127"},
		"kill -9 $$":             {"signal: killed"},
	} {
		p := writeProject(t, "[build]\ncommand = '"+command+"'\n")
		err := p.Build(t.Context(), &strings.Builder{})
		if err == nil {
			t.Errorf("%s: no error", command)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %q, want %q in it", command, err, part)
			}
		}
	}
}

// The error for a missing tool says how to install it.
func TestBuildWithoutTool(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for command, want := range map[string]string{"GOWORK=off go build .": "https://go.dev/doc/install", "python3 build.py": "python3-venv"} {
		p := writeProject(t, "[build]\ncommand = '"+command+"'\n")
		var out strings.Builder
		wantError(t, p.Build(t.Context(), &out), adapters.NotFound, "is missing", want, "bridge plugin build "+p.Dir)
		if out.Len() > 0 {
			t.Errorf("%s was run: %s", command, out.String())
		}
	}
}

// An interrupt ends all processes of a build, and the build can be repeated.
func TestInterruptedBuild(t *testing.T) {
	p := writeProject(t, "[build]\ncommand = \"if [ -e once ]; then touch bridge-adapter-x; chmod +x bridge-adapter-x; else touch once; sh -c 'echo $$; sleep 600'; fi\"\n")
	ctx, cancel := context.WithCancel(t.Context())
	inner := ""
	err := p.Build(ctx, writerFunc(func(b []byte) {
		if !bytes.HasPrefix(b, []byte("in ")) {
			inner = strings.TrimSpace(string(b))
			cancel()
		}
	}))
	wantError(t, err, adapters.Canceled, "building x")
	for runs(t, inner) { // the kernel may not be done yet
		time.Sleep(time.Millisecond)
	}
	if err := p.Build(t.Context(), &strings.Builder{}); err != nil {
		t.Errorf("again: %v", err)
	}
}

// runs reports whether a process is running, and not just a zombie.
func runs(t *testing.T, pid string) bool {
	t.Helper()
	number, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := procfs.Of(number)
	return err == nil && !p.Ended()
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
