//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins"
	"github.com/modular-bridging/bridge/train/checkpoint"
)

const (
	// stallVariable makes this binary a plugin that stalls at a place: "load", or "loss 3", the
	// third call of Loss.
	stallVariable = "BRIDGE_TEST_STALL"
	// reachedVariable names a file that the plugin creates when it stalls.
	reachedVariable = "BRIDGE_TEST_REACHED"
)

func serveStalling() int {
	place, number, _ := strings.Cut(os.Getenv(stallVariable), " ")
	nth, _ := strconv.Atoi(number)
	s := &stall{place: place, nth: int64(max(nth, 1))}
	f := opt.Family()
	open := f.OpenLanguage
	f.OpenLanguage = func(ctx context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
		s.at("load")
		m, err := open(ctx, req)
		if err != nil {
			return nil, err
		}
		scorer, _ := adapters.AsScorer(m)
		embedder, _ := adapters.AsTokenEmbedder(m)
		counter, _ := adapters.AsTokenCounter(m)
		return stallingModel{m, scorer, embedder, counter, s}, nil
	}
	if err := plugins.ServeWith(plugins.ServeConfig{Families: []adapters.Family{f}, Name: f.Name}); err != nil {
		return exitFailed
	}
	return exitDone
}

// stall is the place at which a plugin stops and ignores cancellation.
type stall struct {
	place string
	nth   int64
	calls atomic.Int64
}

func (s *stall) at(place string) {
	if place != s.place || s.calls.Add(1) != s.nth {
		return
	}
	if err := os.WriteFile(os.Getenv(reachedVariable), nil, 0o644); err != nil {
		panic(err)
	}
	select {}
}

type stallingModel struct {
	adapters.LanguageModel
	adapters.Scorer
	adapters.TokenEmbedder
	adapters.TokenCounter
	stall *stall
}

func (s stallingModel) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	s.stall.at("loss")
	return s.LanguageModel.Loss(ctx, req)
}

func (s stallingModel) Generate(ctx context.Context, req *adapters.GenerateRequest,
	emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	s.stall.at("generate")
	return s.LanguageModel.Generate(ctx, req, emit)
}

// stallingPlugin is an executable that stalls at the place that its mode names. It starts a
// child process, and both ignore interrupts.
type stallingPlugin string

func newStallingPlugin(t *testing.T) stallingPlugin {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plugin")
	text := fmt.Sprintf("#!/bin/sh\ntrap '' INT TERM\nsleep 3600 &\necho $! $$ >> \"$0.pids\"\n"+
		"export %s=\"$(cat \"$0.mode\")\" %s=\"$0.reached\"\nexec '%s'\n", stallVariable, reachedVariable, self)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	p := stallingPlugin(path)
	p.setMode(t, "nowhere")
	return p
}

// setMode sets where the plugin stalls after its next start.
func (p stallingPlugin) setMode(t *testing.T, mode string) {
	t.Helper()
	for _, name := range []string{".reached", ".pids"} {
		if err := os.Remove(string(p) + name); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(string(p)+".mode", []byte(mode), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pids returns the processes that were started since setMode.
func (p stallingPlugin) pids(t *testing.T) (all []int) {
	t.Helper()
	text, err := os.ReadFile(string(p) + ".pids")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pid)
	}
	return all
}

// running reports whether a process runs. A zombie does not run.
func running(pid int) bool {
	p, err := procfs.Of(pid)
	return err == nil && !p.Ended()
}

// interrupt runs a command until its plugin stalls, and interrupts it. No process or socket of
// it may be left.
func (p stallingPlugin) interrupt(t *testing.T, mode string, args ...string) string {
	t.Helper()
	p.setMode(t, mode)
	return p.interruptAt(t, mode, p.reached, args...)
}

// reached reports whether the plugin stalls.
func (p stallingPlugin) reached() bool {
	_, err := os.Stat(string(p) + ".reached")
	return err == nil
}

// interruptAt runs a command until it reaches a place, and interrupts it. No process or socket
// of it may be left. It returns the output of the command.
func (p stallingPlugin) interruptAt(t *testing.T, place string, reached func() bool, args ...string) string {
	t.Helper()
	temporary := shortTempDir(t)
	state, output := signalAt(t, temporary, os.Interrupt, place, reached, args...)
	if got := state.ExitCode(); got != exitInterrupted {
		t.Errorf("status %d, want %d\n%s", got, exitInterrupted, output)
	}
	for _, pid := range p.pids(t) {
		if running(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Errorf("process %d of the plugin still runs", pid)
		}
	}
	if left := socketDirs(t, temporary); len(left) > 0 {
		t.Errorf("folders of sockets are left: %v", left)
	}
	return output
}

// shortTempDir returns a temporary folder with a short path, because socket addresses must be
// short.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// socketDirs lists the folders of plugins' sockets.
func socketDirs(t *testing.T, temporary string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(temporary, "bridge-*", "p*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// signalAtStall runs a command until its plugin stalls and sends it a signal. It returns the
// state and the output of the command.
func (p stallingPlugin) signalAtStall(t *testing.T, temporary string, signal os.Signal, mode string,
	args ...string) (*os.ProcessState, string) {
	t.Helper()
	p.setMode(t, mode)
	return signalAt(t, temporary, signal, mode, p.reached, args...)
}

// signalAt runs a command until it reaches a place and sends it a signal. It returns the state
// and the output of the command.
func signalAt(t *testing.T, temporary string, signal os.Signal, place string, reached func() bool,
	args ...string) (*os.ProcessState, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), commandVariable+"=1", "TMPDIR="+temporary)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !reached() {
		select {
		case err := <-ended:
			t.Fatalf("the command ended before it reached %s: %v\n%s", place, err, &output)
		case <-time.After(2 * time.Millisecond):
		}
	}
	began := time.Now()
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		t.Fatalf("the command ignores the signal %v\n%s", signal, &output)
	}
	t.Logf("ended %v after the signal", time.Since(began).Round(time.Millisecond))
	return cmd.ProcessState, output.String()
}

// Ctrl-C stops the command and its plugins at any time, even if the plugin ignores it. The run
// loses none of its finished steps.
func TestInterruptLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("short: trains for some seconds")
	}
	if err := procfs.Available(); err != nil {
		testenv.Lacking(t, "a /proc to find processes in", err)
	}
	testenv.Cache(t)
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	p, from := newStallingPlugin(t), saveSmallBridge(t)
	model := copyModel(t, "tiny-opt")
	train := func(dir string, more ...string) []string {
		flags := []string{"--set", "run.checkpoint_every=0", "--set", "optimizer.steps=6",
			"--set", "language.plugin=" + string(p), "--set", "language.id=" + model}
		return disturbableRun(dir, from, "process", append(flags, more...)...)
	}
	t.Run("train, load", func(t *testing.T) {
		p.interrupt(t, "load", train(filepath.Join(t.TempDir(), "run"))...)
	})
	dir := filepath.Join(t.TempDir(), "run")
	t.Run("train, loss", func(t *testing.T) {
		output := p.interrupt(t, "loss 5", train(dir)...)
		if _, _, err := checkpoint.Latest(filepath.Join(dir, "checkpoints")); err != nil || !strings.Contains(output, "--resume") {
			t.Fatalf("no checkpoint of the finished steps, or no message about it: %v\n%s", err, output)
		}
	})
	p.setMode(t, "nowhere")
	mustExit(t, exitDone, train(dir, "--resume", "--set", "language.memory_limit=8GB")...)
	t.Run("caption, load", func(t *testing.T) {
		p.interrupt(t, "load", "caption", dir, "kit:held-out/0", "--backend", "go")
	})
	t.Run("caption, generate", func(t *testing.T) {
		p.interrupt(t, "generate", "caption", dir, "kit:held-out/0", "--backend", "go")
	})
	t.Run("caption, in the host", func(t *testing.T) { // it cannot be interrupted while it reads
		p.setMode(t, "nowhere")
		picture := filepath.Join(t.TempDir(), "picture.png")
		if err := syscall.Mkfifo(picture, 0o600); err != nil {
			t.Fatal(err)
		}
		var writer *os.File
		defer func() { writer.Close() }()
		p.interruptAt(t, "the picture", func() bool {
			var err error
			writer, err = os.OpenFile(picture, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails until the host reads
			return err == nil
		}, "caption", dir, picture, "--backend", "go")
	})
	t.Run("verify, loss", func(t *testing.T) {
		folder := filepath.Join("..", "..", "adapters", "opt", "testdata", "golden-pre-norm")
		p.interrupt(t, "loss", "verify", folder, "--plugin", string(p), "--backend", "go")
	})
}

// If bridge is killed, no process is left, even if the plugin ignores signals. The next command
// removes the files that are left.
func TestKilledBridgeLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("short: starts many processes")
	}
	if err := procfs.Available(); err != nil {
		testenv.Lacking(t, "a /proc to find processes in", err)
	}
	p := newStallingPlugin(t)
	folder := filepath.Join("..", "..", "adapters", "opt", "testdata", "golden-pre-norm")
	for _, mode := range []string{"load", "loss", "loss 2", "generate"} {
		t.Run(mode, func(t *testing.T) {
			temporary := shortTempDir(t)
			verify := []string{"verify", folder, "--plugin", string(p), "--backend", "go"}
			p.signalAtStall(t, temporary, os.Kill, mode, verify...)
			for deadline := time.Now().Add(time.Minute); slices.ContainsFunc(p.pids(t), running); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("a process of the plugin still runs a minute after its host was killed")
				}
			}
			if len(socketDirs(t, temporary)) == 0 {
				t.Fatal("the killed command left no socket to remove")
			}
			p.setMode(t, "nowhere")
			t.Setenv("TMPDIR", temporary)
			mustExit(t, exitDone, verify...)
			if left := socketDirs(t, temporary); len(left) > 0 {
				t.Errorf("the next command did not remove %v", left)
			}
		})
	}
}

// bridge kills a plugin that exceeds the memory limit of the recipe, and the error has a
// remedy.
func TestMemoryLimitOfARecipe(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		testenv.Lacking(t, "a /proc to see memory in", err)
	}
	testenv.Cache(t)
	run := disturbableRun(filepath.Join(t.TempDir(), "run"), saveSmallBridge(t), "process", "--set", "language.memory_limit=1MB")
	_, stderr := mustExit(t, exitFailed, run...)
	for _, text := range []string{"plugin opt", "killed by bridge: it held ", "its limit is 1 MB", "raise memory_limit"} {
		if !strings.Contains(stderr, text) {
			t.Errorf("no %q in %s", text, stderr)
		}
	}
}
