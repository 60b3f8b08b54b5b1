package logmux

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
)

// withoutTime removes the time, so that tests can compare whole lines.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func textHandler(level slog.Level) (slog.Handler, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.NewTextHandler(&b, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}), &b
}

func TestHandlerFollowsSlogsContract(t *testing.T) {
	var b bytes.Buffer
	s := New(slog.NewTextHandler(io.Discard, nil))
	s.Add(slog.NewJSONHandler(&b, nil))
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

// A logger that was derived before a handler was added writes to that handler, with the logger's
// attributes, until the handler is removed.
func TestAddAndRemoveHandlers(t *testing.T) {
	terminal, shown := textHandler(slog.LevelInfo)
	file, kept := textHandler(slog.LevelDebug)
	s := New(terminal)
	log := slog.New(s).With("plugin", "opt").WithGroup("rpc").With("name", "Loss")
	log.Info("before")
	remove := s.Add(file)
	log.Debug("during", "n", 1)
	log.Info("also during")
	remove()
	log.Info("after")
	if log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is enabled although no handler enables it")
	}
	const with = " plugin=opt rpc.name=Loss"
	if got, want := kept.String(), "level=DEBUG msg=during"+with+" rpc.n=1\nlevel=INFO msg=\"also during\""+with+"\n"; got != want {
		t.Errorf("the added handler has\n%swant\n%s", got, want)
	}
	if got, want := shown.String(), "level=INFO msg=before"+with+"\nlevel=INFO msg=\"also during\""+with+"\nlevel=INFO msg=after"+with+"\n"; got != want {
		t.Errorf("the first handler has\n%swant\n%s", got, want)
	}
}

// closing is a writer that fails the test if it is written to after it was closed.
type closing struct {
	t      *testing.T
	mu     sync.Mutex
	closed bool
}

func (c *closing) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.t.Error("the handler was used after its removal")
	}
	return len(p), nil
}

func TestManyGoroutines(t *testing.T) {
	s := New(slog.NewTextHandler(io.Discard, nil))
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
				remove := s.Add(slog.NewTextHandler(file, nil))
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
