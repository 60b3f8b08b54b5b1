package numpyadapter

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/internal/pythontest"
	"github.com/modular-bridging/bridge/plugins"
)

const script = "examples/adapter-python-numpy/adapter.py"

// open starts the plugin as bridge does, on a checkpoint that it has made.
func open(t *testing.T) adapters.LanguageModel {
	t.Helper()
	program := pythontest.Program(t, pythontest.Python(t), script)
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	pythontest.Run(t, program, "--init", checkpoint)
	m, err := plugins.OpenLanguage(t.Context(), plugins.Config{Path: program, Load: adapters.LoadRequest{Checkpoint: checkpoint}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestConformance(t *testing.T) {
	adaptertest.TestLanguage(t, func() adapters.LanguageModel { return open(t) },
		adaptertest.Options{Texts: []string{"a dog on", " a red background"}, GradientTolerance: 2e-3})
}

// TestTrainable descends the gradient of an unlikely caption by its soft prompt;
// then the model says it.
func TestTrainable(t *testing.T) {
	m := open(t)
	defer m.Close()
	example := []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: "two apple left a blue dog"}}
	prompts := adapters.NewTensor(adapters.Float32, 1, 8, m.Spec().Width)
	first, last := math.Inf(1), 0.0
	for range 200 {
		resp, err := m.Loss(t.Context(), &adapters.LossRequest{Prompts: prompts, Examples: example, Gradient: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range resp.Gradient.Float32s() {
			prompts.Float32s()[i] -= 0.05 * g
		}
		first, last = min(first, float64(resp.Loss[0])), float64(resp.Loss[0])
	}
	answer, err := m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: prompts, Examples: example}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Texts[0] != example[0].Target || last > first {
		t.Errorf("the trained prompt says %q, want %q; the loss ends at %g, was %g at best", answer.Texts[0], example[0].Target, last, first)
	}
}
