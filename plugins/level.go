package plugins

import (
	"context"
	"fmt"
	"log/slog"
	"os"
)

// LevelTrace is the level of log lines about single calls of a plugin.
const LevelTrace = slog.LevelDebug - 4

// logLevelKey names the variable that tells a plugin what to print.
const logLevelKey = "BRIDGE_LOG_LEVEL"

// LevelNames lists the levels of logs, the most talkative first.
func LevelNames() []string { return []string{"trace", "debug", "info", "warn", "error"} }

// ParseLevel reads one of [LevelNames].
func ParseLevel(name string) (slog.Level, error) {
	for i, known := range LevelNames() {
		if name == known {
			return LevelTrace + slog.Level(4*i), nil
		}
	}
	return 0, fmt.Errorf("log level %q, want one of %q", name, LevelNames())
}

// NameTrace replaces the level in a record by its name where slog has none: an
// option of slog's handlers.
func NameTrace(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey && level == LevelTrace {
		return slog.String(slog.LevelKey, "TRACE")
	}
	return a
}

// levelOf is the most talkative level that a logger takes, by name.
func levelOf(log *slog.Logger) string {
	names := LevelNames()
	for i, name := range names {
		if log.Enabled(context.Background(), LevelTrace+slog.Level(4*i)) {
			return name
		}
	}
	return names[len(names)-1]
}

// Logger returns a logger for an adapter in a plugin. It writes to the standard
// error what the host wants to see (`bridge --log-level`), and the host logs it
// at the level that it has here, with the plugin's name.
func Logger() *slog.Logger {
	level, err := ParseLevel(os.Getenv(logLevelKey))
	if err != nil { // an older host
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{} // the host adds it
			}
			return NameTrace(groups, a)
		},
	}))
}
