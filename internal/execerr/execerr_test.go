package execerr

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// program returns this test's executable with a few bytes changed.
func program(t *testing.T, change func([]byte)) []byte {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	change(text)
	return text
}

// Explain gives a reason and a remedy for every file that the kernel refuses to run.
func TestExplain(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the files are for Linux")
	}
	other, name := uint16(183), "arm64"
	if runtime.GOARCH == "arm64" {
		other, name = 62, "amd64"
	}
	for what, c := range map[string]struct {
		text         string
		mode         os.FileMode
		fact, remedy string
	}{
		"of another machine": {string(program(t, func(b []byte) { binary.LittleEndian.PutUint16(b[18:], other) })), 0o755, "is a program for " + name, "for linux/" + runtime.GOARCH},
		"of Windows":         {"MZ\x90\x00", 0o755, "is a program for Windows", "for linux/"},
		"of macOS":           {"\xcf\xfa\xed\xfe\x00\x00", 0o755, "is a program for macOS", "for linux/"},
		"an object file":     {string(program(t, func(b []byte) { binary.LittleEndian.PutUint16(b[16:], 1) })), 0o755, "but not a program", "linked"},
		"a text":             {"hello there\n", 0o755, `neither a program nor a script: it begins with "hello there"`, "#!/bin/sh"},
		"empty":              {"", 0o755, "is empty", "build it again"},
		"no interpreter":     {"#!/no/such/python -B\n", 0o755, "is a script for /no/such/python, which does not exist", "virtual environment"},
		"Windows line ends":  {"#!/bin/sh\r\necho\r\n", 0o755, "Windows line ends", "Unix line ends"},
		"not executable":     {"#!/bin/sh\n", 0o644, "is not executable", "chmod +x "},
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
				t.Fatal(err)
			}
			err := (&exec.Cmd{Path: path, Args: []string{path}}).Run()
			if err == nil {
				t.Fatal("it runs")
			}
			fact, remedy := Explain(path, err)
			if !strings.Contains(fact, c.fact) || !strings.Contains(fact, path) || !strings.Contains(remedy, c.remedy) {
				t.Errorf("%v is explained as %q, %q; want %q, %q", err, fact, remedy, c.fact, c.remedy)
			}
		})
	}
	dir := t.TempDir()
	if fact, remedy := Explain(dir, (&exec.Cmd{Path: dir, Args: []string{dir}}).Run()); !strings.Contains(fact, "is a folder") || remedy == "" {
		t.Errorf("a folder is explained as %q, %q", fact, remedy)
	}
	if fact, _ := Explain(filepath.Join(dir, "none"), os.ErrNotExist); fact != "" {
		t.Errorf("a file that does not exist is explained as %q", fact)
	}
	loaderMissing(t)
}

func loaderMissing(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("/bin/sh")
	if err != nil || !strings.Contains(string(text), "/ld-linux") {
		t.Log("/bin/sh has no loader to change")
		return
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "/ld-linux", "/no-linux", 1)), 0o755); err != nil {
		t.Fatal(err)
	}
	err = (&exec.Cmd{Path: path, Args: []string{path}}).Run()
	if fact, remedy := Explain(path, err); !strings.Contains(fact, "needs the loader") || !strings.Contains(fact, "no-linux") || remedy == "" {
		t.Errorf("%v is explained as %q, %q", err, fact, remedy)
	}
}
