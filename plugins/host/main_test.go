package host

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// TestMain makes the test binary its own plugin, in the mode that the environment names,
// and a host that is killed.
func TestMain(m *testing.M) {
	mode := os.Getenv(plugintest.ModeKey)
	switch {
	case strings.HasPrefix(mode, "host: "):
		runHost(strings.TrimPrefix(mode, "host: "))
	case mode == "next host":
		runNextHost()
	case mode == "own server":
		exit(serveWithoutSDK())
	case strings.HasPrefix(mode, "versions "):
		exit(serveVersions(strings.TrimPrefix(mode, "versions ")))
	}
	plugintest.Main(m)
}

// exit ends the process of a plugin.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// config starts this test binary as a plugin in a mode.
func config(t testing.TB, mode, family string) Config {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Name: "fake", Path: path, Family: family, Load: adapters.LoadRequest{ID: "tiny"},
		Env:     plugintest.Env(t, mode),
		Restart: Restart{Backoff: time.Millisecond},
	}
}

func openLanguage(t *testing.T, cfg Config) adapters.LanguageModel {
	t.Helper()
	m, err := OpenLanguage(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// eachTransport runs a test with tensors in shared memory and in chunks.
func eachTransport(t *testing.T, test func(t *testing.T, transport Transport)) {
	for _, transport := range []Transport{TransportShared, TransportGRPC} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			if transport == TransportShared {
				needsArenas(t)
			}
			test(t, transport)
		})
	}
}

func needsArenas(t testing.TB) {
	t.Helper()
	if err := SharedMemory(); err != nil {
		testenv.Lacking(t, "memory files that can be sealed", err)
	}
}

// launchLanguage starts a plugin whose arenas a test looks at.
func launchLanguage(t testing.TB, cfg Config) (*Process, adapters.LanguageModel) {
	t.Helper()
	p, err := Launch(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	m, err := p.Language()
	if err != nil {
		t.Fatal(err)
	}
	return p, m
}
