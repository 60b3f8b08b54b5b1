package conformance

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/host"
)

const (
	modeKey = "BRIDGE_TEST_MODE" // what the plugin does wrong; "good" where it does nothing wrong
	hostKey = "BRIDGE_TEST_HOST"
)

// TestMain makes the test binary the plugin under test, and the host that is killed.
func TestMain(m *testing.M) {
	switch mode := os.Getenv(modeKey); {
	case os.Getenv(hostKey) != "":
		fmt.Fprintln(os.Stderr, RunHost(context.Background(), os.Stdin, os.Stdout))
		os.Exit(1)
	case strings.HasPrefix(mode, sloppyMode):
		runSloppy(strings.TrimPrefix(mode, sloppyMode))
	case mode != "":
		runPlugin(mode)
	default:
		testenv.Parallel(8)
		os.Exit(m.Run())
	}
}

// target is this test binary as a plugin in a mode.
func target(t *testing.T, mode string, kind adapters.ModelKind) Target {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Target{Kind: kind, Manifest: func(host.Identity) []string { return nil }, Config: host.Config{Name: "bad", Path: path, Family: string(kind),
		Load: adapters.LoadRequest{ID: "tiny", Checkpoint: t.TempDir()}, Env: []string{modeKey + "=" + mode}}}
}

// options returns options for a slow machine.
func options(t *testing.T) Options {
	t.Helper()
	return Options{Patience: 5, Contract: adaptertest.Options{GradientTolerance: 1e-3}}
}

func hostCommand(t *testing.T) []string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"/usr/bin/env", hostKey + "=1", path}
}
