package plugins

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/modular-bridging/bridge/internal/printable"
)

const (
	keptLines    = 20
	keptLineSize = 4 << 10
)

// plugLog is an io.Writer that takes what a plugin prints: every line goes to
// the log, the last ones are kept for errors. Lines longer than keptLineSize
// are cut there.
type plugLog struct {
	log *slog.Logger

	mu      sync.Mutex
	partial []byte
	cut     bool // the rest of the line is dropped
	last    []string
}

// Write never fails.
func (l *plugLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if room := keptLineSize - len(l.partial); len(line) > room {
			line, l.cut = line[:room], true
		}
		l.partial = append(l.partial, line...)
		if whole {
			l.flush()
		}
		p = rest
	}
	return n, nil
}

func (l *plugLog) flush() {
	line := printable.Text(strings.TrimRight(string(l.partial), "\r"))
	if l.cut {
		line += "…"
	}
	l.partial, l.cut = l.partial[:0], false
	if line == "" {
		return
	}
	if len(l.last) == keptLines {
		l.last = append(l.last[:0], l.last[1:]...)
	}
	l.last = append(l.last, line)
	l.log.Log(context.Background(), level(line), line)
}

// level guesses from the prefixes that loggers and Go's runtime use. What says
// of itself that it is an error is a warning here: the call that fails says so.
func level(line string) slog.Level {
	if name, _, ok := strings.Cut(strings.TrimPrefix(line, "level="), " "); ok && strings.HasPrefix(line, "level=") {
		if level, err := ParseLevel(strings.ToLower(name)); err == nil { // of Logger, or of another SDK's
			return min(level, slog.LevelWarn)
		}
	}
	for _, prefix := range []string{"panic: ", "fatal error: ", "[WARN]", "[ERROR]", "WARNING", "ERROR"} {
		if strings.HasPrefix(line, prefix) {
			return slog.LevelWarn
		}
	}
	return slog.LevelDebug
}

// lines returns the last lines, an unfinished one included.
func (l *plugLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.flush()
	}
	return append([]string(nil), l.last...)
}
