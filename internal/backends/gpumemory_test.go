package backends

import (
	"errors"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestGPUMemory(t *testing.T) {
	for text, want := range map[string]float64{"": DefaultGPUMemory, "0.4": 0.4, "1": 1, "0": 0, "1.5": 0, "NaN": 0, "half": 0, "-0.2": 0} {
		t.Setenv(GPUMemoryVariable, text)
		got, err := gpuMemory()
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: got %v and error %v, want %v", text, got, err, want)
		}
	}
}

func TestExplainMemory(t *testing.T) {
	t.Setenv(GPUMemoryVariable, "0.4")
	err := ExplainMemory(errors.New("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes"))
	if adapters.KindOf(err) != adapters.Exhausted || !strings.Contains(err.Error(), "0.4 of a GPU") || !strings.Contains(err.Error(), "8589934592") {
		t.Errorf("got %v, want an error of kind exhausted with the share and XLA's message", err)
	}
	if other := errors.New("INTERNAL: x"); ExplainMemory(other) != other || ExplainMemory(nil) != nil {
		t.Error("an error of another kind was changed")
	}
}
