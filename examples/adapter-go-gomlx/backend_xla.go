//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64))

package main

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
)

// openXLA opens XLA through a PJRT plugin, given by kind or path. It downloads nothing, and
// float32 is computed in full precision, not in TF32.
func openXLA(plugin string) (compute.Backend, error) {
	xla.EnableAutoInstall(false)
	return xla.New(plugin + ",tf32=false")
}
