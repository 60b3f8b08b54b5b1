package plugins_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/plugins"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// The host logs a plugin's lines at their own levels. A plugin does not send lines below the
// level that the host shows.
func TestPluginsLogger(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level]string{
		plugins.LevelTrace: "TRACE DEBUG INFO WARN",
		slog.LevelDebug:    "DEBUG INFO WARN",
		slog.LevelInfo:     "INFO WARN",
		slog.LevelWarn:     "WARN",
	} {
		var log plugintest.Buffer
		m := open(t, "log", func(c *host.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level, ReplaceAttr: loglevel.NameTrace}))
		})
		if _, err := m.Loss(t.Context(), plugintest.LossRequest(false)); err != nil {
			t.Fatal(err)
		}
		m.Close()
		var got []string
		for _, name := range []string{"TRACE", "DEBUG", "INFO", "WARN"} {
			line := plugintest.LineWith(log.String(), "said at "+name)
			if line != "" {
				got = append(got, name)
			}
			if line != "" && !strings.HasPrefix(line[strings.Index(line, "level="):], "level="+name+" ") {
				t.Errorf("the line at %s is logged as %q", name, line)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("a host at level %v shows %v, want %s", level, got, want)
		}
	}
}
