package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/internal/logmux"
)

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
	p := &program{level: &slog.LevelVar{}, sinks: logmux.New(slog.DiscardHandler)}
	p.log = slog.New(p.sinks)
	for _, level := range []slog.Level{slog.LevelInfo, loglevel.Trace} {
		p.level.Set(level)
		if err := p.inRun(t.Context(), dir, hold, func() error {
			p.log.Log(t.Context(), loglevel.Trace, fmt.Sprint("at ", level))
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
