// Package loglevel names the levels of logs, including one below debug that slog does
// not have: trace, for single calls of a plugin.
package loglevel

import (
	"context"
	"fmt"
	"log/slog"
)

// Trace is the level of log lines about single calls of a plugin.
const Trace = slog.LevelDebug - 4

// step is the distance between two levels of package slog.
const step = 4

// Names returns the names of all levels, the most verbose first.
func Names() []string { return []string{"trace", "debug", "info", "warn", "error"} }

// Parse returns the level with one of the [Names].
func Parse(name string) (slog.Level, error) {
	for i, known := range Names() {
		if name == known {
			return Trace + slog.Level(step*i), nil
		}
	}
	return 0, fmt.Errorf("log level %q, want one of %q", name, Names())
}

// NameTrace writes the level trace by its name, which slog does not know. It is a
// ReplaceAttr function of [slog.HandlerOptions].
func NameTrace(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey && level == Trace {
		return slog.String(slog.LevelKey, "TRACE")
	}
	return a
}

// Of returns the name of the most verbose level that a logger handles.
func Of(log *slog.Logger) string {
	names := Names()
	for i, name := range names {
		if log.Enabled(context.Background(), Trace+slog.Level(step*i)) {
			return name
		}
	}
	return names[len(names)-1]
}
