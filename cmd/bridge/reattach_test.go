//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An author runs an adapter under his debugger, and bridge uses it, command
// after command, by the name that it has there.
func TestCommandsAttachToAnAuthorsProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	author := exec.Command(self, "adapter", "serve", "opt")
	author.Env = append(os.Environ(), "BRIDGE_DEBUG=1")
	author.Stderr = os.Stderr
	stdout, err := author.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := author.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = author.Process.Kill(); _ = author.Wait() })
	for lines := bufio.NewScanner(stdout); ; {
		if !lines.Scan() {
			t.Fatalf("the adapter does not say what to set: %v", lines.Err())
		}
		if value, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "export BRIDGE_REATTACH='"); ok {
			t.Setenv("BRIDGE_REATTACH", strings.TrimSuffix(value, "'"))
			break
		}
	}
	verify := []string{"verify", filepath.Join("..", "..", "adapters", "opt", "testdata", "golden-pre-norm"), "--backend", "go"}
	for range 2 {
		if _, stderr := want(t, exitDone, verify...); !strings.Contains(stderr, "attached to a plugin that is not bridge's own") {
			t.Errorf("bridge has started a process of its own: %s", stderr)
		}
	}
	if err := author.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := author.Wait(); err != nil {
		t.Errorf("the adapter ends at Ctrl-C with %v", err)
	}
	if _, stderr := want(t, exitFailed, verify...); !strings.Contains(stderr, "is gone") || !strings.Contains(stderr, "BRIDGE_REATTACH") {
		t.Errorf("bridge does not say that the process is gone: %s", stderr)
	}
}
