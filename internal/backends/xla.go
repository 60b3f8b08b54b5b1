//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64) || (windows && amd64))

package backends

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/go-xla/pjrt"
)

const hasXLA = true

// loadXLA opens a plugin by its path, with XLA_FLAGS as they are. go-xla guesses from the path whether it is
// a CPU or a CUDA plugin; loadXLA sets the options that depend on the guess explicitly. TensorFloat-32 is
// off, so that float32 is really float32; bfloat16 is for speed.
func loadXLA(path string) (compute.Backend, error) {
	xla.EnableAutoInstall(false)
	kind := pluginKind(filepath.Base(path))
	if kind == "cpu" && pjrt.IsCUDAName(path) {
		return nil, fmt.Errorf("go-xla mistakes the CPU plugin %s for a CUDA plugin, because its path contains %q or %q: move it",
			path, "cuda", "nvidia")
	}
	if strings.Contains(path, ",") {
		return nil, fmt.Errorf("the plugin's path %s contains a comma, which go-xla interprets as the start of its options: move it", path)
	}
	config := path + ",tf32=false"
	if kind == "cuda" {
		share, err := gpuMemory()
		if err != nil {
			return nil, err
		}
		config += fmt.Sprintf(",shared_buffers=false,memory_fraction=%g", share)
	}
	return xla.New(config)
}

func describeXLA(b compute.Backend) string {
	x, ok := b.(*xla.Backend)
	switch {
	case ok && x.IsCUDA():
		return XLACUDA
	case ok && x.IsCPU():
		return XLACPU
	}
	return xla.BackendName
}
