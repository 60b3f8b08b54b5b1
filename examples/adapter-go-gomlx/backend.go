package main

import (
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"

	"github.com/modular-bridging/bridge/adapters"
)

// openBackend opens the backend that bridge requests: "auto" (here the Go backend), "go",
// "xla:cpu", "xla:cuda" or "xla:/abs/plugin.so".
func openBackend(name string) (compute.Backend, error) {
	var backend compute.Backend
	var err error
	plugin, isXLA := strings.CutPrefix(name, "xla:")
	switch {
	case isXLA:
		backend, err = openXLA(plugin)
	case name == "" || name == "auto" || name == "go":
		// With the default it can wait forever on machines with few cores. It prints a
		// warning on stdout, which the SDK has redirected.
		backend, err = gobackend.New("parallelism=-1")
	default:
		return nil, adapters.Errorf(adapters.Unsupported, "unknown backend %q, want auto, go, xla:cpu, xla:cuda or xla:/absolute/path/to/plugin.so", name)
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.Unavailable, "backend %s cannot be opened: %w", name, err).WithRemedy("use --backend go")
	}
	return backend, nil
}
