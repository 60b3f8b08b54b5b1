// Package backends opens the compute backends of a process: GoMLX's Go backend, and XLA with a PJRT
// plugin. It finds plugins, chooses a backend and opens it. It must not know what is computed.
//
// A process has at most one backend of each kind. All callers of [Open] share it and must not close
// it, because XLA allows only one client for a device, and the Go backend should have one worker
// pool. A backend is safe for concurrent use.
//
// The package downloads nothing: GoMLX's automatic installation is off. It does not write to
// stdout, which is for results and, in a plugin, for the handshake.
package backends

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"

	"github.com/modular-bridging/bridge/adapters"
)

// The names of backends for --backend and LoadRequest.Backend.
const (
	Auto    = "auto"     // XLACUDA if a GPU and a CUDA plugin are found, else XLACPU if a CPU plugin is found, else Go
	Go      = "go"       // GoMLX's Go backend with unlimited parallelism
	XLACPU  = "xla:cpu"  // XLA's CPU plugin
	XLACUDA = "xla:cuda" // XLA's CUDA plugin
	xlaPath = "xla:"     // prefix of the absolute path of a plugin
)

// open has the process's backends by [Choice.key].
var open struct {
	sync.Mutex
	backends map[string]compute.Backend
}

// Open returns the process's backend with a name: "auto" (or ""), "go", "xla:cpu", "xla:cuda" or
// "xla:/abs/plugin.so". The caller must not close it.
func Open(name string) (compute.Backend, error) {
	choice, err := Choose(name)
	if err != nil {
		return nil, err
	}
	open.Lock()
	defer open.Unlock()
	if b, ok := open.backends[choice.key()]; ok {
		return b, nil
	}
	b, err := choice.create()
	if err != nil {
		return nil, err
	}
	if open.backends == nil {
		open.backends = map[string]compute.Backend{}
	}
	open.backends[choice.key()] = b
	return b, nil
}

// Check returns an error for a name that [Open] does not know. It does not search for plugins.
func Check(name string) error {
	switch name {
	case "", Auto, Go, XLACPU, XLACUDA:
		return nil
	}
	if path, ok := strings.CutPrefix(name, xlaPath); ok && filepath.IsAbs(path) {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "backend %q is not known, want auto, go, xla:cpu, xla:cuda or xla:/absolute/path/to/plugin.so", name)
}

// Describe returns the name of an open backend for specs: "go", "xla:cpu", "xla:cuda", or "xla" if
// the kind of the plugin is not known.
func Describe(b compute.Backend) string {
	if b.String() == gobackend.BackendName {
		return Go
	}
	return describeXLA(b)
}

// ForTest returns the backend for a test: the one in BRIDGE_TEST_BACKEND, or the Go backend if the
// variable is not set.
func ForTest(t interface {
	Helper()
	Fatalf(format string, args ...any)
}) compute.Backend {
	t.Helper()
	b, err := Open(TestName())
	if err != nil {
		t.Fatalf("BRIDGE_TEST_BACKEND: %v", err)
	}
	return b
}

func (c Choice) create() (b compute.Backend, err error) {
	defer func() {
		if r := recover(); r != nil { // a corrupt plugin makes go-xla panic
			err = adapters.Errorf(adapters.Unavailable, "cannot open backend %s: %v", c.Name, r)
		}
	}()
	if c.Plugin == "" {
		return newGo()
	}
	if err := setXLAFlags(Plugin{Kind: pluginKind(filepath.Base(c.Plugin)), Path: c.Plugin}); err != nil {
		return nil, err
	}
	b, err = loadXLA(c.Plugin)
	if err != nil {
		return nil, adapters.Errorf(adapters.Unavailable, "cannot open backend %s: %w", c.Name, err).
			WithRemedy("use --backend go, or repair or remove the plugin %s", c.Plugin)
	}
	return b, nil
}

// newGo returns a Go backend with unlimited parallelism. With its default parallelism it deadlocks
// on machines with few cores.
//
// The configuration string "parallelism=-1" prints a line on stdout. The method that it calls does
// not, but this is a method of an exported field of an internal type, so only reflection can call
// it. A test checks that it works with this version.
func newGo() (compute.Backend, error) {
	b, err := gobackend.New("")
	if err != nil {
		return nil, adapters.Errorf(adapters.Internal, "cannot open the Go backend: %w", err)
	}
	field := reflect.Indirect(reflect.ValueOf(b)).FieldByName("Workers")
	if field.IsValid() && field.CanInterface() {
		if pool, ok := field.Interface().(interface{ SetMaxParallelism(n int) }); ok {
			pool.SetMaxParallelism(-1)
			return b, nil
		}
	}
	return nil, adapters.Errorf(adapters.Internal, "the Go backend %T has no field Workers with SetMaxParallelism", b)
}

// Summary returns a line about an open backend, for people.
func Summary(b compute.Backend) string {
	return fmt.Sprintf("%s: %s, devices: %d", Describe(b), b.Description(), b.NumDevices())
}
