package plugins_test

import (
	"os"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// TestMain makes the test binary the plugin of its tests.
func TestMain(m *testing.M) { plugintest.Main(m) }

// open starts the test binary as a plugin in a mode.
func open(t *testing.T, mode string, change func(*host.Config)) adapters.LanguageModel {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := host.Config{Name: "fake", Path: path, Family: "language", Load: adapters.LoadRequest{ID: "tiny"},
		Env: plugintest.Env(t, mode), Restart: host.Restart{Backoff: time.Millisecond}}
	if change != nil {
		change(&cfg)
	}
	m, err := host.OpenLanguage(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}
