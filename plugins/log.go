package plugins

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/modular-bridging/bridge/internal/printable"
)

const (
	keptLines    = 20
	keptHead     = 10
	headReach    = 1000 // lines after which a head says nothing of the last ones
	keptLineSize = 4 << 10
)

// plugLog is an io.Writer that takes what a plugin prints: every line goes to
// the log, the last ones are kept for errors, and the first ones of the last panic
// or traceback. Lines longer than keptLineSize are cut there.
type plugLog struct {
	log *slog.Logger

	mu      sync.Mutex
	taken   int64 // bytes so far
	partial []byte
	cut     bool // the rest of the line is dropped
	last    []string
	head    []string // of what began with a word of fatal
	since   int      // lines since head began
}

// Write never fails.
func (l *plugLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	l.taken += int64(n)
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
	l.keep(line)
	l.log.Log(context.Background(), level(line), line)
}

// bytes is how much was printed so far.
func (l *plugLog) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// keep keeps a line for errors.
func (l *plugLog) keep(line string) {
	if len(l.last) == keptLines {
		l.last = append(l.last[:0], l.last[1:]...)
	}
	l.last = append(l.last, line)
	begins := fatal(line)
	if begins || l.since >= headReach {
		l.head, l.since = nil, 0
	}
	if begins || l.head != nil {
		l.since++
	}
	if begins || l.head != nil && len(l.head) < keptHead {
		l.head = append(l.head, line)
	}
}

// fatal reports whether a line begins what Go and Python print of what they could
// not handle.
func fatal(line string) bool {
	for _, prefix := range []string{"panic: ", "fatal error: ", "Traceback (most recent call last)"} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
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

// lines returns the last lines, an unfinished one included, after the first ones of
// a panic that began before them.
func (l *plugLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.flush()
	}
	var all []string
	if missing := l.since - len(l.last); missing > 0 {
		all = append(all, l.head[:min(missing, len(l.head))]...)
		if missing > len(l.head) {
			all = append(all, fmt.Sprintf("… (%d lines)", missing-len(l.head)))
		}
	}
	return append(all, l.last...)
}
