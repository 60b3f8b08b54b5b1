package backends

import (
	"os"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// GPUMemoryVariable is the environment variable with the share of a card's memory that a process may
// take: a number above 0, at most 1. The host sets it for a plugin from the recipe's gpu_memory.
const GPUMemoryVariable = "BRIDGE_GPU_MEMORY"

// DefaultGPUMemory is the share without the variable. XLA takes memory when it needs it, and never
// more than this share of the whole card, so several processes share a card as they need it. XLA's
// own default is 0.75, which leaves a quarter of the card to nobody.
const DefaultGPUMemory = 0.95

// LimitGPUMemory bounds the share of a GPU's memory that this process may take, above 0 and at most 1.
// It has no effect on a backend that is open. 0 leaves the limit as it is.
func LimitGPUMemory(share float64) error {
	if share == 0 {
		return nil
	}
	return os.Setenv(GPUMemoryVariable, strconv.FormatFloat(share, 'g', -1, 64))
}

// gpuMemory returns the share of a card's memory for this process.
func gpuMemory() (float64, error) {
	text := os.Getenv(GPUMemoryVariable)
	if text == "" {
		return DefaultGPUMemory, nil
	}
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || !(share > 0 && share <= 1) {
		return 0, adapters.Errorf(adapters.Invalid, "%s is %q, want a share of the card's memory above 0 and at most 1", GPUMemoryVariable, text).
			WithRemedy("set it to a number such as 0.4, or leave it out for %g", DefaultGPUMemory)
	}
	return share, nil
}

// ExplainMemory returns err, or an error of kind Exhausted if a GPU's memory ran out: XLA's message
// names neither the process nor what bounds it.
func ExplainMemory(err error) error {
	if err == nil || !strings.Contains(err.Error(), "RESOURCE_EXHAUSTED") {
		return err
	}
	share, bad := gpuMemory()
	if bad != nil {
		return err
	}
	return adapters.Errorf(adapters.Exhausted, "the device's memory ran out; this process may take %g of a GPU's: %w", share, err).
		WithRemedy("use a smaller batch (optimizer.accumulate keeps its effect), or a smaller type; if other processes leave memory free, raise gpu_memory in the recipe's table of this process ([run], [vision] or [language])")
}
