package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"

	"github.com/modular-bridging/bridge/plugins"
)

func textSink(level slog.Level) (slog.Handler, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.NewTextHandler(&b, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}), &b
}

func TestSinksAreAHandler(t *testing.T) {
	var b bytes.Buffer
	s := newSinks(slog.NewTextHandler(io.Discard, nil))
	s.add(slog.NewJSONHandler(&b, nil))
	err := slogtest.TestHandler(s, func() []map[string]any {
		var all []map[string]any
		for line := range strings.Lines(b.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

// A logger that was made before a sink came writes to it, with what was added
// to the logger, and no more once the sink is gone.
func TestSinksComeAndGo(t *testing.T) {
	terminal, shown := textSink(slog.LevelInfo)
	file, kept := textSink(slog.LevelDebug)
	s := newSinks(terminal)
	log := slog.New(s).With("plugin", "opt").WithGroup("rpc").With("name", "Loss")
	log.Info("before")
	remove := s.add(file)
	log.Debug("during", "n", 1)
	log.Info("also during")
	remove()
	log.Info("after")
	if log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is enabled, although nobody takes it")
	}
	const with = " plugin=opt rpc.name=Loss"
	if got, want := kept.String(), "level=DEBUG msg=during"+with+" rpc.n=1\nlevel=INFO msg=\"also during\""+with+"\n"; got != want {
		t.Errorf("the sink that came holds\n%swant\n%s", got, want)
	}
	if got, want := shown.String(), "level=INFO msg=before"+with+"\nlevel=INFO msg=\"also during\""+with+"\nlevel=INFO msg=after"+with+"\n"; got != want {
		t.Errorf("the sink that stayed holds\n%swant\n%s", got, want)
	}
}

// closing fails the test when it is written to after it was closed.
type closing struct {
	t      *testing.T
	mu     sync.Mutex
	closed bool
}

func (c *closing) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.t.Error("written to after its removal")
	}
	return len(p), nil
}

func TestSinksInManyGoroutines(t *testing.T) {
	s := newSinks(slog.NewTextHandler(io.Discard, nil))
	log := slog.New(s)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				log.With("a", 1).Info("x")
			}
		})
		wg.Go(func() {
			for range 50 {
				file := &closing{t: t}
				remove := s.add(slog.NewTextHandler(file, nil))
				log.Info("y")
				remove()
				file.mu.Lock()
				file.closed = true
				file.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// The calls of adapters are shown where they are asked for, on stderr and in a
// run's log, and nowhere else.
func TestTraceIsShownAndKept(t *testing.T) {
	folder := filepath.Join("..", "..", "adapters", "vit", "testdata", "golden-quick-gelu")
	for level, shown := range map[string]bool{"trace": true, "debug": false} {
		_, stderr := want(t, exitDone, "--log-level", level, "verify", folder, "--backend", "go")
		if got := strings.Contains(stderr, "level=TRACE msg=rpc plugin=vit rpc=Encode"); got != shown {
			t.Errorf("--log-level %s shows calls: %v\n%s", level, got, stderr)
		}
	}
	dir := t.TempDir()
	p := &program{level: &slog.LevelVar{}, sinks: newSinks(slog.DiscardHandler)}
	p.log = slog.New(p.sinks)
	for _, level := range []slog.Level{slog.LevelInfo, plugins.LevelTrace} {
		p.level.Set(level)
		if err := p.inRun(t.Context(), dir, hold, func() error {
			p.log.Log(t.Context(), plugins.LevelTrace, fmt.Sprint("at ", level))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, logFile))
	if err != nil || strings.Contains(string(log), "at INFO") || !strings.Contains(string(log), "level=TRACE msg=\"at DEBUG-4\"") {
		t.Errorf("the run's log: %s, %v", log, err)
	}
}
