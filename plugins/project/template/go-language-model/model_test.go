package main

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// YOURS: a checkpoint that loads quickly.
const checkpoint = "checkpoint"

func load(t *testing.T) adapters.LanguageModel {
	t.Helper()
	m, err := open(&adapters.LoadRequest{Checkpoint: checkpoint})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The contract of language models, in process. `bridge plugin test` runs it through the
// program.
func TestContract(t *testing.T) {
	adaptertest.TestLanguage(t, func() adapters.LanguageModel { return load(t) },
		adaptertest.Options{Texts: []string{"a dog on", " a red background"}}) // texts that the model can read
}

// Gradient descent on a soft prompt makes the model generate an unlikely text.
func TestTrainable(t *testing.T) {
	m := load(t)
	example := []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: "two apples left of a blue dog"}}
	prompts := adapters.NewTensor(adapters.Float32, 1, 8, m.Spec().Width)
	for range 100 {
		resp, err := m.Loss(t.Context(), &adapters.LossRequest{Prompts: prompts, Examples: example, Gradient: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range resp.Gradient.Float32s() {
			prompts.Float32s()[i] -= 0.1 * g
		}
	}
	answer, err := m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: prompts, Examples: example}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Texts[0] != example[0].Target {
		t.Errorf("the trained prompt gives %q, want %q", answer.Texts[0], example[0].Target)
	}
}
