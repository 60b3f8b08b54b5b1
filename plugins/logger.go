package plugins

import (
	"log/slog"
	"os"

	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// LevelTrace is the level for log lines about single calls, one step below debug.
const LevelTrace = loglevel.Trace

// Logger returns a logger for an adapter in a plugin. It writes to the standard error, at
// the level that the host shows (`bridge --log-level`). The host logs each line at the
// line's own level, with the plugin's name.
func Logger() *slog.Logger {
	level, err := loglevel.Parse(os.Getenv(wire.LogLevelKey))
	if err != nil { // an older host
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{} // the host adds it
			}
			return loglevel.NameTrace(groups, a)
		},
	}))
}
