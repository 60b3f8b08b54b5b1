//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64))

package main

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
)

// openXLA opens XLA through a PJRT plugin: a kind, or a path. Nothing is downloaded,
// and float32 means float32.
func openXLA(plugin string) (compute.Backend, error) {
	xla.EnableAutoInstall(false)
	return xla.New(plugin + ",tf32=false")
}
