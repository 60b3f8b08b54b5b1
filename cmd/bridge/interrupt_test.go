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

// stallVariable makes this binary a plugin that never comes back from a place:
// "load", or "loss 3", its third call. reachedVariable is the file that says that
// it is there.
const (
	stallVariable   = "BRIDGE_TEST_STALL"
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

// stall is where a plugin stops heeding anything.
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

func (s stallingModel) Generate(ctx context.Context, req *adapters.GenerateRequest, emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	s.stall.at("generate")
	return s.LanguageModel.Generate(ctx, req, emit)
}

// stallingPlugin is an executable that stalls where its mode says, and has a
// process of its own that heeds nothing either.
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

// setMode says where the plugin is to stall when it is started next.
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

// pids are the processes that were started since then.
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

// running reports whether a process runs; one that has ended and whose parent
// has not noticed does not.
func running(pid int) bool {
	p, err := procfs.Of(pid)
	return err == nil && !p.Ended()
}

// interrupt runs a command until its plugin stalls, and then does what Ctrl-C
// does. Nothing may be left of it.
func (p stallingPlugin) interrupt(t *testing.T, mode string, args ...string) string {
	t.Helper()
	p.setMode(t, mode)
	return p.interruptAt(t, mode, p.reached, args...)
}

// reached reports whether the plugin is where it stalls.
func (p stallingPlugin) reached() bool {
	_, err := os.Stat(string(p) + ".reached")
	return err == nil
}

// interruptAt runs a command until it has come to a place, and then does what Ctrl-C
// does. Nothing may be left of it.
func (p stallingPlugin) interruptAt(t *testing.T, place string, reached func() bool, args ...string) string {
	t.Helper()
	temporary := shortTempDir(t)
	state, said := signalAt(t, temporary, os.Interrupt, place, reached, args...)
	if got := state.ExitCode(); got != exitInterrupted {
		t.Errorf("status %d, want %d\n%s", got, exitInterrupted, said)
	}
	for _, pid := range p.pids(t) {
		if running(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Errorf("process %d of the plugin is left", pid)
		}
	}
	if left := socketDirs(t, temporary); len(left) > 0 {
		t.Errorf("folders of sockets are left: %v", left)
	}
	return said
}

// shortTempDir is a folder for sockets, whose addresses are short.
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

// signalAtStall runs a command until its plugin stalls, sends it a signal, and returns
// how it ended and what it said.
func (p stallingPlugin) signalAtStall(t *testing.T, temporary string, signal os.Signal, mode string, args ...string) (*os.ProcessState, string) {
	t.Helper()
	p.setMode(t, mode)
	return signalAt(t, temporary, signal, mode, p.reached, args...)
}

// signalAt runs a command until it has come to a place, sends it a signal, and
// returns how it ended and what it said.
func signalAt(t *testing.T, temporary string, signal os.Signal, place string, reached func() bool, args ...string) (*os.ProcessState, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), commandVariable+"=1", "TMPDIR="+temporary)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !reached() {
		select {
		case err := <-ended:
			t.Fatalf("the command ended before it came to %s: %v\n%s", place, err, &said)
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
		t.Fatalf("the command does not heed the signal %v\n%s", signal, &said)
	}
	t.Logf("ended %v after the signal", time.Since(began).Round(time.Millisecond))
	return cmd.ProcessState, said.String()
}

// Ctrl-C ends everything, wherever it comes and though the plugin is deaf, and
// costs a run nothing that was done.
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
		return disturbableRun(dir, from, "process", append([]string{"--set", "run.checkpoint_every=0", "--set", "optimizer.steps=6",
			"--set", "language.plugin=" + string(p), "--set", "language.id=" + model}, more...)...)
	}
	t.Run("train, load", func(t *testing.T) {
		p.interrupt(t, "load", train(filepath.Join(t.TempDir(), "run"))...)
	})
	dir := filepath.Join(t.TempDir(), "run")
	t.Run("train, loss", func(t *testing.T) {
		said := p.interrupt(t, "loss 5", train(dir)...)
		if _, _, err := checkpoint.Latest(filepath.Join(dir, "checkpoints")); err != nil || !strings.Contains(said, "--resume") {
			t.Fatalf("no checkpoint of what was done, or no word of it: %v\n%s", err, said)
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
	t.Run("caption, in the host", func(t *testing.T) { // which hears nothing while it reads
		p.setMode(t, "nowhere")
		picture := filepath.Join(t.TempDir(), "picture.png")
		if err := syscall.Mkfifo(picture, 0o600); err != nil {
			t.Fatal(err)
		}
		var writer *os.File
		defer func() { writer.Close() }()
		p.interruptAt(t, "the picture", func() bool {
			var err error
			writer, err = os.OpenFile(picture, os.O_WRONLY|syscall.O_NONBLOCK, 0) // it fails where nobody reads
			return err == nil
		}, "caption", dir, picture, "--backend", "go")
	})
	t.Run("verify, loss", func(t *testing.T) {
		p.interrupt(t, "loss", "verify", filepath.Join("..", "..", "adapters", "opt", "testdata", "golden-pre-norm"), "--plugin", string(p), "--backend", "go")
	})
}

// A bridge that is killed leaves no process, however deaf, and what it leaves of
// files the next one removes.
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
					t.Fatal("a process of the plugin outlives its host")
				}
			}
			if len(socketDirs(t, temporary)) == 0 {
				t.Fatal("the killed command had no socket that could be swept")
			}
			p.setMode(t, "nowhere")
			t.Setenv("TMPDIR", temporary)
			mustExit(t, exitDone, verify...)
			if left := socketDirs(t, temporary); len(left) > 0 {
				t.Errorf("the next command leaves %v", left)
			}
		})
	}
}

// A recipe's limit ends what exceeds it, and says what to do.
func TestMemoryLimitOfARecipe(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		testenv.Lacking(t, "a /proc to see memory in", err)
	}
	testenv.Cache(t)
	_, stderr := mustExit(t, exitFailed, disturbableRun(filepath.Join(t.TempDir(), "run"), saveSmallBridge(t), "process", "--set", "language.memory_limit=1MB")...)
	for _, says := range []string{"plugin opt", "killed by bridge: it held ", "its limit is 1 MB", "raise memory_limit"} {
		if !strings.Contains(stderr, says) {
			t.Errorf("no %q in %s", says, stderr)
		}
	}
}
