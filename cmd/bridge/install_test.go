package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/internal/wheels"
	"github.com/modular-bridging/bridge/tools/xla"
)

// installEnv gives a test its own home folder, temporary folder, and a folder of programs that
// is first in PATH.
type installEnv struct {
	t               *testing.T
	home, tmp, path string
}

func newInstallEnv(t *testing.T) installEnv {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the plugin exists for Linux on x86-64 only")
	}
	if !backends.Probe().XLA {
		t.Skip("built without XLA")
	}
	i := installEnv{t, t.TempDir(), t.TempDir(), t.TempDir()}
	t.Setenv("HOME", i.home)
	t.Setenv("TMPDIR", i.tmp)
	t.Setenv("PIP", "")
	t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", "")
	t.Setenv("PATH", i.path+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return i
}

// addProgram writes a shell script that is found before other programs of its name.
func (i installEnv) addProgram(name, script string) {
	i.t.Helper()
	if err := os.WriteFile(filepath.Join(i.path, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		i.t.Fatal(err)
	}
}

// restrictPath sets PATH to a folder with only the named programs.
func (i installEnv) restrictPath(names ...string) {
	i.t.Helper()
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil {
			err = os.Symlink(path, filepath.Join(i.path, name))
		}
		if err != nil {
			i.t.Fatal(err)
		}
	}
	i.t.Setenv("PATH", i.path)
}

// addWheel writes a wheel with a plugin in it, and a python3 whose pip downloads the wheel. For
// other arguments, python3 runs the shell command otherwise.
func (i installEnv) addWheel(otherwise string) []byte {
	i.t.Helper()
	var data bytes.Buffer
	z := zip.NewWriter(&data)
	w, err := z.Create("lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so")
	if err == nil {
		_, err = w.Write([]byte("a plugin"))
	}
	if err == nil {
		err = z.Close()
	}
	file := filepath.Join(i.t.TempDir(), "p-1-py3-none-any.whl")
	if err == nil {
		err = os.WriteFile(file, data.Bytes(), 0o644)
	}
	if err != nil {
		i.t.Fatal(err)
	}
	i.addProgram("python3", `case "$*" in
"-m pip download"*) while [ "$1" != --dest ]; do shift; done; cp `+file+` "$2/" ;;
*) `+otherwise+` ;;
esac`)
	return data.Bytes()
}

// leftovers lists the files in the home and temporary folders.
func (i installEnv) leftovers() (files []string) {
	i.t.Helper()
	for _, dir := range []string{i.home, i.tmp} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && path != i.home && path != i.tmp {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			i.t.Fatal(err)
		}
	}
	return files
}

func TestInstallNamesMissingTools(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(i installEnv)
		want    string
	}{
		"another wheel": {func(i installEnv) { i.addWheel("exit 9") }, "the wheel is not the one that was checked"},
		"no python3":    {func(i installEnv) { i.restrictPath("sh", "uname") }, "python3 is not installed"},
		"no sha256sum": {func(i installEnv) { i.addProgram("python3", "exit 9"); i.restrictPath("sh", "uname") },
			"sha256sum is not installed"},
		"no sh": {func(i installEnv) { i.restrictPath() }, "sh was not found"},
		"no pip": {func(i installEnv) { i.addProgram("python3", "echo No module named pip >&2; exit 1") },
			"`python3 -m pip` does not run: install pip"},
		"offline": {func(i installEnv) { i.addProgram("python3", `[ "$*" = "-m pip --version" ]`) },
			"pip could not fetch lammps-jax-pjrt-cpu"},
		"other system": {func(i installEnv) { i.addProgram("uname", `[ "$1" = -s ] && echo Darwin || echo arm64`) },
			"for Linux on x86-64 only, this is Darwin on arm64"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstallEnv(t)
			c.prepare(i)
			stdout, stderr := mustExit(t, exitFailed, "doctor", "--install", "xla-cpu")
			if !strings.Contains(stderr, c.want) || stdout != "" {
				t.Errorf("stdout %q, stderr:\n%swant %q", stdout, stderr, c.want)
			}
			if left := i.leftovers(); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// The script installs a wheel with the right checksum, here that of the test's own wheel, and
// the doctor then lists the plugin.
func TestInstall(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		testenv.Lacking(t, "python3", err)
	}
	i := newInstallEnv(t)
	sum := sha256.Sum256(i.addWheel(`exec ` + python + ` "$@"`))
	script := regexp.MustCompile(`(?m)^sha256=.*$`).ReplaceAllString(xla.InstallCPU(), "sha256="+hex.EncodeToString(sum[:]))
	var log bytes.Buffer
	if err := wheels.InstallXLACPU(t.Context(), script, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	plugin := filepath.Join(i.home, ".local", "lib", "go-xla", "pjrt_c_api_cpu_plugin.so")
	if got, err := os.ReadFile(plugin); err != nil || string(got) != "a plugin" {
		t.Errorf("the plugin is %q, %v", got, err)
	}
	if !strings.Contains(log.String(), "installed "+plugin) {
		t.Errorf("the log is %q", log.String())
	}
	if left, err := os.ReadDir(i.tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if found, _ := mustExit(t, exitDone, "doctor"); !strings.Contains(found, "cpu: "+plugin) {
		t.Errorf("the doctor does not list the plugin:\n%s", found)
	}
}

func TestInstallRefusesOtherNames(t *testing.T) {
	for name, hint := range map[string]string{
		"xla-cp": "did you mean xla-cpu?", "tpu": "want xla-cpu, xla-cuda or caption-metrics", "": "want xla-cpu, xla-cuda or caption-metrics",
	} {
		if _, stderr := mustExit(t, exitUsage, "doctor", "--install", name); !strings.Contains(stderr, hint) {
			t.Errorf("%q: %s", name, stderr)
		}
	}
}

func TestInstallCUDA(t *testing.T) {
	i := newInstallEnv(t)
	i.addProgram("python3", `case "$*" in
"-m pip --version") exit 0 ;;
*) echo "no such package" >&2; exit 1 ;;
esac`)
	_, stderr := mustExit(t, exitFailed, "doctor", "--install", "xla-cuda")
	if !strings.Contains(stderr, "pip could not fetch jax-cuda13-pjrt 0.11.2") || !strings.Contains(stderr, "no such package") {
		t.Errorf("offline: %s", stderr)
	}
	for _, left := range i.leftovers() {
		if !strings.HasSuffix(left, ".local") && !strings.HasSuffix(left, "lib") && !strings.HasSuffix(left, "go-xla") {
			t.Errorf("left behind: %s", left)
		}
	}
}
