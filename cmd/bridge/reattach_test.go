//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/host"
)

// startAttachable starts an adapter as an author does under a debugger, and sets the variable
// that it prints for bridge. end interrupts the adapter.
func startAttachable(t *testing.T, program string, args ...string) (end func()) {
	t.Helper()
	author := exec.Command(program, args...)
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
			t.Fatalf("the adapter did not print the variable to set: %v", lines.Err())
		}
		if value, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "export BRIDGE_REATTACH='"); ok {
			t.Setenv("BRIDGE_REATTACH", strings.TrimSuffix(value, "'"))
			break
		}
	}
	return func() {
		if err := author.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := author.Wait(); err != nil {
			t.Errorf("the adapter exited on an interrupt with %v", err)
		}
	}
}

// Several commands in turn can use an adapter that its author started under a debugger.
func TestCommandsAttachToRunningPlugin(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	end := startAttachable(t, self, "adapter", "serve", "opt")
	verify := []string{"verify", filepath.Join("..", "..", "adapters", "opt", "testdata", "golden-pre-norm"), "--backend", "go"}
	for range 2 {
		if _, stderr := mustExit(t, exitDone, verify...); !strings.Contains(stderr, "attached to a plugin that bridge has not started") {
			t.Errorf("bridge started its own process: %s", stderr)
		}
	}
	end()
	if _, stderr := mustExit(t, exitFailed, verify...); !strings.Contains(stderr, "is gone") ||
		!strings.Contains(stderr, "BRIDGE_REATTACH") {
		t.Errorf("the error does not say that the process is gone: %s", stderr)
	}
}

func TestAttachToPythonProcess(t *testing.T) {
	program := testenv.Program(t, testenv.Python(t), "examples/adapter-python-numpy/adapter.py")
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	testenv.Run(t, program, "--init", checkpoint)
	end := startAttachable(t, program)
	example := adapters.Example{Segments: []adapters.Segment{adapters.TextSegment("a dog")}}
	for _, id := range []string{"first", "second"} {
		m, err := host.OpenLanguage(t.Context(), host.Config{Path: "/no/such/bridge-adapter-numpy",
			Load: adapters.LoadRequest{ID: id, Checkpoint: checkpoint}})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Spec().ID; got != id {
			t.Errorf("the model is %s: it was not loaded again as %s", got, id)
		}
		if _, err := m.Generate(t.Context(), &adapters.GenerateRequest{Examples: []adapters.Example{example}}, nil); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	end()
}
