//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train/checkpoint"
)

// runProcess is a process of bridge that trains.
type runProcess struct {
	*exec.Cmd
	dir    string
	output *bytes.Buffer
	ended  chan error
}

// saveSmallBridge saves a random stage-1 bridge, smaller than the kit's, and returns its folder.
func saveSmallBridge(t *testing.T) string {
	t.Helper()
	tokenizer, err := bridge.OpenTokenizer(t.Context(), filepath.Join("..", "..", "kit", "models", "qformer-tokenizer", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := qformer.Base()
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Queries = 16, 1, 2, 16, 2
	c.EncoderWidth, c.Vocabulary, c.MaxPositions, c.ProjectionDim = 128, tokenizer.Vocabulary(), 32, 8
	b, err := bridge.New(backends.ForTest(t), c, tokenizer, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.Info.Vision = bridge.Side{ID: "tiny-vit", Family: "vit", Width: c.EncoderWidth}
	dir := t.TempDir()
	if err := b.Save(dir, adapters.Float32); err != nil {
		t.Fatal(err)
	}
	return dir
}

// disturbableRun returns the command line of a run that is long enough to be killed or
// interrupted.
func disturbableRun(dir, from, isolation string, more ...string) []string {
	return append(shortRun("train", "tiny-stage2-opt", "--out", dir), append([]string{
		"--set", "from=" + from, "--set", "language.isolation=" + isolation,
		"--set", "optimizer.steps=24", "--set", "run.checkpoint_every=5", "--set", `data.train={id="kit:train",pictures=8}`,
		"--set", "evaluation.every=0", "--set", "evaluation.examples=2", "--set", "evaluation.captions=0",
		"--set", "evaluation.final_captions=1",
	}, more...)...)
}

// startRun starts a run and returns after its step from.
func startRun(t *testing.T, dir string, args []string, from int) *runProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &runProcess{Cmd: exec.Command(self, args...), dir: dir, output: &bytes.Buffer{}, ended: make(chan error, 1)}
	r.Env = append(os.Environ(), commandVariable+"=1")
	r.Stdout, r.Stderr = r.output, r.output
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- r.Wait() }()
	t.Cleanup(func() { _ = r.Process.Kill() })
	step := []byte(fmt.Sprintf(`"step":%d}`, from))
	for {
		lines, _ := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
		if bytes.Contains(lines, step) && bytes.Contains(lines, []byte("stage-2/loss")) {
			return r
		}
		select {
		case err := <-r.ended:
			t.Fatalf("the run ended before step %d: %v\n%s", from, err, r.output)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// wait waits for the process and returns its exit status, or −1 if a signal killed it.
func (r *runProcess) wait(t *testing.T) int {
	t.Helper()
	var exit *exec.ExitError
	select {
	case err := <-r.ended:
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return r.ProcessState.ExitCode()
	case <-time.After(2 * time.Minute):
		t.Fatalf("the run did not end:\n%s", r.output)
		return 0
	}
}

// trainedWeights returns the weights file of the bridge that a run wrote.
func trainedWeights(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "bridge", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A run that is killed or interrupted ends with the same weights as an undisturbed run. The user
// only loses time.
func TestDisturbedRunsEndWithTheSameWeights(t *testing.T) {
	if testing.Short() {
		t.Skip("short: trains for some seconds")
	}
	testenv.Cache(t)
	from, whole := saveSmallBridge(t), filepath.Join(t.TempDir(), "whole")
	mustExit(t, exitDone, disturbableRun(whole, from, "none")...)
	same := func(t *testing.T, dir string) {
		t.Helper()
		if trainedWeights(t, dir) != trainedWeights(t, whole) {
			t.Error("the weights differ from those of an undisturbed run")
		}
	}
	t.Run("killed language model", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		r := startRun(t, dir, disturbableRun(dir, from, "process"), 2)
		for range 2 { // the second is the restarted process
			plugin := waitForPlugin(t, r, "opt", 0)
			if err := syscall.Kill(plugin, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			waitForPlugin(t, r, "opt", plugin)
		}
		if status := r.wait(t); status != exitDone {
			t.Fatalf("status %d:\n%s", status, r.output)
		}
		same(t, dir)
	})
	t.Run("killed run", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		r := startRun(t, dir, disturbableRun(dir, from, "none"), 7)
		if err := r.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if status := r.wait(t); status != -1 {
			t.Fatalf("status %d: the run ended before it was killed", status)
		}
		_, stderr := mustExit(t, exitDone, disturbableRun(dir, from, "none", "--resume")...)
		if !strings.Contains(stderr, "resuming") {
			t.Errorf("the run started again from the beginning: %s", stderr)
		}
		same(t, dir)
	})
	t.Run("Ctrl-C", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		r := startRun(t, dir, disturbableRun(dir, from, "process", "--set", "run.checkpoint_every=0"), 4)
		if err := r.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if status := r.wait(t); status != exitInterrupted {
			t.Fatalf("status %d, want %d:\n%s", status, exitInterrupted, r.output)
		}
		if _, _, err := checkpoint.Latest(filepath.Join(dir, "checkpoints")); err != nil ||
			!strings.Contains(r.output.String(), "--resume") {
			t.Fatalf("no checkpoint of the finished steps, or no message about it: %v\n%s", err, r.output)
		}
		log, err := os.ReadFile(filepath.Join(dir, "log.txt"))
		if err != nil || strings.Contains(string(log), "level=ERROR") || !strings.Contains(string(log), "the run was interrupted") {
			t.Errorf("the log shows the interrupt as an error: %v\n%s", err, log)
		}
		mustExit(t, exitDone, disturbableRun(dir, from, "process", "--set", "run.checkpoint_every=0", "--resume")...)
		same(t, dir)
	})
}

// waitForPlugin waits for the process that serves a family for a run, and returns its id. The
// process before is ignored.
func waitForPlugin(t *testing.T, r *runProcess, family string, before int) int {
	t.Helper()
	if err := procfs.Available(); err != nil {
		testenv.Lacking(t, "a /proc to find processes in", err)
	}
	for {
		for p := range procfs.All() {
			if p.Parent != r.Process.Pid || p.PID == before {
				continue
			}
			if args := procfs.Arguments(p.PID); len(args) > 2 && slices.Equal(args[len(args)-2:], []string{"serve", family}) {
				return p.PID
			}
		}
		select {
		case err := <-r.ended:
			t.Fatalf("the run ended without another process for %s: %v\n%s", family, err, r.output)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
