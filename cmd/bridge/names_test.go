package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/workspace"
)

// spoof follows a newline in a name. It becomes a line of its own if the name is printed raw.
const spoof = "spoofed"

// hostileName has every control character, an escape of terminals and bidi overrides.
func hostileName() string {
	var b strings.Builder
	for c := rune(1); c < 0xa0; c++ {
		if unicode.IsControl(c) && c != '\n' {
			b.WriteRune(c)
		}
	}
	return b.String() + "\x1b[2J\u202e\u2066\u2028\ufeff\n" + spoof
}

// wantPrintable checks that text for a person has no control character except newlines and tabs,
// that it is UTF-8, and that no name made a line of it.
func wantPrintable(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s: not UTF-8: %q", what, text)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, "\t "), spoof) {
			t.Errorf("%s: a name made a line: %q", what, text)
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
				t.Errorf("%s: %q in %q", what, r, line)
				break
			}
		}
	}
}

// writeHostileFiles writes files of all kinds that commands read, with the name in their names and
// their content, and returns command lines that show them.
func writeHostileFiles(t *testing.T, name string) (commands [][]string) {
	t.Helper()
	dir, err := kit.Extract(t.Context(), workspace.CacheDir())
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(name, "inside"), 0o755))
	must(t, os.MkdirAll(filepath.Join("plugins", name), 0o755))
	must(t, os.WriteFile(filepath.Join("plugins", name, "plugin.toml"), []byte("name = 1"), 0o644))
	must(t, os.WriteFile(name+".jpg", []byte("\xff\xd8\xff cut off"), 0o644))
	must(t, os.WriteFile(name+".toml", []byte("stage = 9\n\"a\\u001bb\\nspoofed\" = 1"), 0o644))
	must(t, os.WriteFile(name+".bad.toml", []byte("\x1b = \n"), 0o644))
	must(t, os.CopyFS(name+".bridge", os.DirFS(filepath.Join(dir, "stage1"))))
	entries, err := json.Marshal([]map[string]string{{"image": name + ".jpg", "caption": name}, {"image": name + "-missing.png", "caption": "x"}})
	must(t, err)
	must(t, os.WriteFile("captions.json", entries, 0o644))
	const files = `data.train={annotations="captions.json",images="."}`
	return [][]string{
		{"caption", "kit:stage2", name + ".jpg", name + "-missing.png", name, "--isolation", "none", "--backend", "go"}, {"ask", "kit:stage2", name + ".jpg", "what?", "--isolation", "none", "--backend", "go"},
		{"caption", name, "x"}, {"caption", name + ".bridge", "x"}, {"caption", name + ".jpg", "x"},
		{"compare", name}, {"compare", name + ".toml"}, {"compare", name + "-missing"}, {"compare", name, "--out", name},
		{"recipes", "check", name + ".toml"}, {"recipes", "check", name + ".bad.toml"}, {"recipes", "check", name + "-missing.toml"},
		{"recipes", "check", name}, {"recipes", "show", name}, {"recipes", "check", "tiny-stage1", "--set", "vision.path=" + name},
		{"train", "tiny-stage1", "--out", "run", "--set", files, "--set", "vision.isolation=none", "--set", "run.backend=go"},
		{"recipes", "check", "tiny-stage1", "--set", "name=" + name}, {"recipes", "check", "tiny-stage1", "--set", name},
		{"train", "tiny-stage1", "--out", filepath.Join(name+".jpg", "x")}, {"train", "tiny-stage1", "--out", name, "--resume"},
		{"plugin", "list"}, {"plugin", "show", name}, {"plugin", "show", "./" + name}, {"plugin", "add", name}, {"plugin", "add", "./" + name + ".jpg"},
		{"plugin", "remove", name}, {"plugin", "lock", name}, {"plugin", "lock", "./" + name}, {"plugin", "test", name}, {"plugin", "test", name + "-missing"},
		{"plugin", "build", name}, {"plugin", "new", name, "--lang", "go", "--kind", "vision-encoder", "--no-build"},
		{"plugin", "new", "x", "--lang", name, "--kind", "vision-encoder"},
		{"plugin", "new", "x", "--lang", "go", "--kind", "vision-encoder", "--no-build", "--dir", name + "-new"},
		{"plugin", "pack", name, name + ".tar.gz"}, {"plugin", "sign", name, "--key", name}, {"plugin", "keygen", name + ".key", "--no-password"},
		{"models", "show", name}, {"models", "add", "tiny-opt", "--path", name}, {"models", "add", name, "--path", name}, {"models", "verify", name},
		{"models", "show", "./" + name}, {"convert", name + ".jpg", name + "-out"}, {"convert", name, name + "-out"},
		{"verify", name}, {"verify", name + "-missing"}, {name}, {"caption", "--" + name}, {"doctor", "--install", name},
		{"--log-level", name, "doctor"}, {"doctor", "--moved", name}, {"retrain", "--llm", name}, {"retrain", "--llm", "tiny-opt", "--from", name},
	}
}

// No command writes a control character of a name, or a line that a name made, to stdout or stderr.
func TestNamesAreEscapedWhereverTextShowsThem(t *testing.T) {
	testenv.Cache(t)
	for kind, name := range map[string]string{"control": hostileName(), "not UTF-8": "a\xff\x9b\xc3\n" + spoof} {
		t.Run(kind, func(t *testing.T) {
			t.Chdir(t.TempDir())
			t.Setenv("BRIDGE_DATA", filepath.Join(t.TempDir(), name))
			for _, args := range writeHostileFiles(t, name) {
				_, stdout, stderr := runCommand(t, args...)
				wantPrintable(t, strings.ToValidUTF8(strings.Join(args[:min(2, len(args))], " "), "?")+" on stdout", stdout)
				wantPrintable(t, strings.ToValidUTF8(strings.Join(args[:min(2, len(args))], " "), "?")+" on stderr", stderr)
			}
			_, stdout, stderr := runCommand(t, "doctor")
			wantPrintable(t, "doctor", stdout+stderr)
		})
	}
}

// A picture's name is one cell of caption's table, and exact in JSON.
func TestCaptionEscapesNamesExceptInJSON(t *testing.T) {
	testenv.Cache(t)
	t.Chdir(t.TempDir())
	name := hostileName() + ".png"
	must(t, writePNG(name))
	how := []string{"--backend", "go", "--isolation", "none"}
	stdout, _ := mustExit(t, exitDone, append([]string{"caption", "kit:stage2", name}, how...)...)
	wantPrintable(t, "caption", stdout)
	if !strings.HasPrefix(stdout, printable.Name(name)+"\t") || strings.Count(stdout, "\t") != 1 || strings.Count(stdout, "\n") != 1 {
		t.Errorf("got %q, want one line with the escaped name and a caption", stdout)
	}
	stdout, _ = mustExit(t, exitDone, append([]string{"caption", "kit:stage2", name, "--json"}, how...)...)
	var line struct{ Image string }
	if err := json.Unmarshal([]byte(stdout), &line); err != nil || line.Image != name {
		t.Errorf("the JSON %q has the name %q (%v), want %q", stdout, line.Image, err, name)
	}
}

// JSON has no place for bytes that are not UTF-8: --json gives such a name in base64, too.
func TestJSONKeepsNamesThatAreNotUTF8(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, want := range map[string]bool{"a\xffb.png": true, "ü.png": false} {
		if err := writePNG(name); err != nil {
			t.Skipf("this file system has no name %q: %v", name, err)
		}
		for _, args := range [][]string{{"caption", "kit:stage2", name}, {"ask", "kit:stage2", name, "what?"}} {
			out, _ := mustExit(t, exitDone, append(args, "--json", "--backend", "go", "--isolation", "none")...)
			var line struct {
				Image   string
				Bytes   []byte `json:"image_base64"`
				Caption string
				Answer  string
			}
			must(t, json.Unmarshal([]byte(out), &line))
			if line.Image != strings.ToValidUTF8(name, "\ufffd") || want != (string(line.Bytes) == name) || line.Caption == line.Answer {
				t.Errorf("%q: got %s", args, out)
			}
		}
	}
}
