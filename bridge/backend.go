package bridge

import (
	"github.com/gomlx/compute"

	"github.com/modular-bridging/bridge/internal/backends"
)

// OpenBackend returns the backend of a name, on which a bridge computes: "auto" (or ""),
// "go", "xla:cpu", "xla:cuda" or "xla:/absolute/path/to/plugin.so". A process has one backend
// of each kind; the built-in adapters share it. The caller must not close it.
func OpenBackend(name string) (compute.Backend, error) { return backends.Open(name) }
