package host

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/internal/printable"
)

const (
	maxLines     = 20
	maxHeadLines = 10
	headWindow   = 1000 // lines after which a head does not explain the last lines
	maxLineBytes = 4 << 10
)

// pluginLog is an io.Writer for the output of a plugin. It logs every line, and keeps the
// last lines and the first lines of the last panic or traceback for errors. It cuts lines
// at maxLineBytes.
type pluginLog struct {
	log *slog.Logger

	mu        sync.Mutex
	written   int64 // bytes so far
	partial   []byte
	truncated bool // the rest of the line is dropped
	last      []string
	head      []string // the first lines of the last panic or traceback
	since     int      // lines since the head began
}

// Write never fails.
func (l *pluginLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	l.written += int64(n)
	for len(p) > 0 {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if room := maxLineBytes - len(l.partial); len(line) > room {
			line, l.truncated = line[:room], true
		}
		l.partial = append(l.partial, line...)
		if whole {
			l.flush()
		}
		p = rest
	}
	return n, nil
}

func (l *pluginLog) flush() {
	line := printable.Text(strings.TrimRight(string(l.partial), "\r"))
	if l.truncated {
		line += "…"
	}
	l.partial, l.truncated = l.partial[:0], false
	if line == "" {
		return
	}
	l.remember(line)
	l.log.Log(context.Background(), guessLevel(line), line)
}

// size returns how many bytes were printed so far.
func (l *pluginLog) size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// remember keeps a line for errors.
func (l *pluginLog) remember(line string) {
	if len(l.last) == maxLines {
		l.last = append(l.last[:0], l.last[1:]...)
	}
	l.last = append(l.last, line)
	begins := beginsPanic(line)
	if begins || l.since >= headWindow {
		l.head, l.since = nil, 0
	}
	if begins || l.head != nil {
		l.since++
	}
	if begins || l.head != nil && len(l.head) < maxHeadLines {
		l.head = append(l.head, line)
	}
}

// beginsPanic reports whether a line is the first of a panic of Go or a traceback of
// Python.
func beginsPanic(line string) bool {
	for _, prefix := range []string{"panic: ", "fatal error: ", "Traceback (most recent call last)"} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// guessLevel returns the level of a line by the prefixes that loggers and Go's runtime use.
// Errors become warnings, because the call that fails reports the error.
func guessLevel(line string) slog.Level {
	if name, _, ok := strings.Cut(strings.TrimPrefix(line, "level="), " "); ok && strings.HasPrefix(line, "level=") {
		if level, err := loglevel.Parse(strings.ToLower(name)); err == nil { // from plugins.Logger, or the logger of another SDK
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

// lines returns the last lines, including an unfinished one. If a panic began before them,
// its first lines come first.
func (l *pluginLog) lines() []string {
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
