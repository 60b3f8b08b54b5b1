package lmtest

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
)

// RandomCheckpoint writes a checkpoint folder with random weights and the
// tokenizer files of another.
func RandomCheckpoint(t testing.TB, config map[string]any, wants []weights.TensorSpec, tokenizer string) string {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	tensors := map[string]*adapters.Tensor{}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, w := range wants {
		tensors[w.Name] = randomTensor(rng, 0.05, w.Shape...)
	}
	if err := weights.Write(filepath.Join(dir, "model.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	CopyFiles(t, tokenizer, dir, "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json")
	return dir
}

func randomTensor(rng *rand.Rand, scale float64, shape ...int) *adapters.Tensor {
	t := adapters.NewTensor(adapters.Float32, shape...)
	for i := range t.Float32s() {
		t.Float32s()[i] = float32(rng.NormFloat64() * scale)
	}
	return t
}

// CopyFiles copies the named files that folder from has to folder to.
func CopyFiles(t testing.TB, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Benchmark measures a training step's loss with gradient and the generation of
// captions, for 64 examples of 10-row soft prompts each.
func Benchmark(b *testing.B, model adapters.LanguageModel) {
	const batch, rows = 64, 10
	rng := rand.New(rand.NewPCG(3, 4))
	prompts := randomTensor(rng, 0.5, batch, rows, model.Spec().Width)
	examples := make([]adapters.Example, batch)
	for i := range examples {
		examples[i] = adapters.Example{
			Segments: []adapters.Segment{adapters.PromptSegment(i), adapters.TextSegment("a photo of")},
			Target:   " a dog left of an apple on a red background",
		}
	}
	b.Run("loss", func(b *testing.B) {
		for b.Loop() {
			if _, err := model.Loss(b.Context(), &adapters.LossRequest{Prompts: prompts, Examples: examples}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("loss and gradient", func(b *testing.B) {
		for b.Loop() {
			if _, err := model.Loss(b.Context(), &adapters.LossRequest{Prompts: prompts, Examples: examples, Gradient: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("generate 20 tokens", func(b *testing.B) {
		options := adapters.GenerateOptions{MaxNewTokens: 20, MinNewTokens: 20}
		for b.Loop() {
			if _, err := model.Generate(b.Context(), &adapters.GenerateRequest{Prompts: prompts, Examples: examples, Options: options}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
