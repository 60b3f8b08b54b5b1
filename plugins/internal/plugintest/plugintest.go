// Package plugintest is the plugin that the tests of plugins and plugins/host start: the
// test binary itself, which serves fakes that misbehave as an environment variable says.
// It uses no more of package plugins than an author can.
package plugintest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// The environment variables of the plugin.
const (
	ModeKey     = "BRIDGE_TEST_MODE"     // how the plugin behaves; empty in the tests' own process
	OnceKey     = "BRIDGE_TEST_ONCE"     // a file whose absence lets a mode misbehave once
	SecretKey   = "BRIDGE_TEST_SECRET"   // one that a host must not pass on
	GateKey     = "BRIDGE_TEST_GATE"     // a file whose appearance lets a plugin continue
	DetachedKey = "BRIDGE_TEST_DETACHED" // a file that gets the process ids of children that leave the group
)

// Main is for TestMain: it runs the plugin in the mode that the environment names, or the
// tests, of which many wait at once.
func Main(m *testing.M) {
	if mode := os.Getenv(ModeKey); mode != "" {
		Run(mode)
	}
	testenv.Parallel(8)
	os.Exit(m.Run())
}

// Env returns the environment that makes the test binary the plugin in a mode.
func Env(t testing.TB, mode string) []string {
	t.Helper()
	return []string{ModeKey + "=" + mode, OnceKey + "=" + filepath.Join(t.TempDir(), "once")}
}

// Run is the plugin's main function.
func Run(mode string) {
	if line, ok := strings.CutPrefix(mode, "print "); ok {
		fmt.Println(line)
		time.Sleep(time.Hour)
	}
	switch mode {
	case "noise before":
		fmt.Println("a library says hello on stdout")
		fmt.Println(strings.Repeat("x", 1<<20))
	case "no handshake":
		time.Sleep(time.Hour)
	case "slow start":
		for range 120 { // busy all the time
			fmt.Fprintln(os.Stderr, "importing")
			time.Sleep(10 * time.Millisecond)
		}
	case "closes stdout":
		os.Stdout.Close()
		time.Sleep(time.Hour)
	case "allocates":
		allocate()
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot find libfake.so")
		os.Exit(3)
	case "echo":
		plugins.Serve(echoFamilies()...)
	case "hostile":
		plugins.Serve(hostileFamily(attack(os.Getenv(wire.ArenasKey))))
	case "no arenas":
		os.Setenv(wire.ArenasKey, "77:4096,78:4096")
	case "not finite":
		plugins.Serve(notFiniteFamilies()...)
	}
	plugins.Serve(families(mode)...)
}

// once reports true the first time that it is called in any of the processes.
func once() bool {
	f, err := os.OpenFile(os.Getenv(OnceKey), os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
