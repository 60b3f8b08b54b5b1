package testenv

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The environment variables with the paths of Python interpreters.
const (
	PythonVariable = "BRIDGE_TEST_PYTHON" // with grpcio and numpy
	TorchVariable  = "BRIDGE_TEST_TORCH"  // also with torch and transformers
)

// Python returns the interpreter in [PythonVariable]. If there is none, the test ends with
// [Lacking].
func Python(t testing.TB) string {
	t.Helper()
	path, err := lookPath(PythonVariable)
	if err != nil {
		Lacking(t, "a Python with grpcio and numpy", err)
	}
	return path
}

// PythonWith is [Python] for tests that need another package.
func PythonWith(t testing.TB, module string) string {
	t.Helper()
	python := Python(t)
	if out, err := exec.Command(python, "-c", "import "+module).CombinedOutput(); err != nil {
		Lacking(t, "the Python package "+module, fmt.Errorf("%w: %s", err, out))
	}
	return python
}

// Torch returns the interpreter in [TorchVariable]. Only `make test-torch` runs the tests that need
// it; otherwise they are skipped.
func Torch(t testing.TB) string {
	t.Helper()
	path, err := lookPath(TorchVariable)
	if err != nil {
		t.Skipf("needs a Python with torch, see make test-torch: %v", err)
	}
	return path
}

func lookPath(variable string) (string, error) {
	path := os.Getenv(variable)
	if path == "" {
		return "", errors.New(variable + " is not set")
	}
	return exec.LookPath(path)
}

// Root returns the root folder of the checkout.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Program writes an executable that runs a Python script, and returns its path. script is relative
// to the root of the checkout.
func Program(t testing.TB, python, script string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bridge-adapter-"+strings.TrimSuffix(filepath.Base(script), ".py"))
	line := fmt.Sprintf("#!/bin/sh\nPYTHONPATH=%s exec %s %s", quote(filepath.Join(Root(), "sdk", "python")), quote(python), quote(filepath.Join(Root(), script)))
	for _, a := range args {
		line += " " + quote(a)
	}
	if err := os.WriteFile(path, []byte(line+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Run runs a program. If the program fails, the test fails.
func Run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

// Server starts a program that prints its address in a line, and returns the address. At the end of
// the test, Server closes the program's stdin, and the program must then exit.
func Server(t testing.TB, program string) string {
	t.Helper()
	cmd := exec.Command(program)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s failed to start: %v", program, err)
	}
	return strings.TrimSpace(line)
}

// quote quotes s as one word for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
