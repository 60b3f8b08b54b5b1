//go:build !cgo || noxla || !((linux && (amd64 || arm64)) || (darwin && arm64) || (windows && amd64))

package backends

import (
	"errors"

	"github.com/gomlx/compute"
)

const hasXLA = false

func loadXLA(string) (compute.Backend, error) {
	return nil, errors.New("this binary was built without XLA")
}

func describeXLA(b compute.Backend) string { return b.Name() }
