package workspace

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/loglevel"
)

// The log of a run has the calls of adapters only if the workspace's log shows them.
func TestCallsAreLoggedIfTheyAreShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log.txt")
	var level slog.LevelVar
	w := New(Options{Log: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: &level}))})
	for _, l := range []slog.Level{slog.LevelInfo, loglevel.Trace} {
		level.Set(l)
		only, stop, err := w.LogTo(file)
		if err != nil {
			t.Fatal(err)
		}
		w.Log().Log(t.Context(), loglevel.Trace, fmt.Sprint("at ", l))
		only.Info(fmt.Sprint("alone ", l))
		stop()
		w.Log().Info("after")
	}
	log, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(log), "at INFO") || !strings.Contains(string(log), "level=TRACE msg=\"at DEBUG-4\"") ||
		!strings.Contains(string(log), "alone INFO") || strings.Contains(string(log), "after") {
		t.Errorf("the log: %s, %v", log, err)
	}
}
