package qwen_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/qwen"
	"github.com/modular-bridging/bridge/internal/weights"
)

const (
	table = "model.embed_tokens.weight"
	head  = "lm_head.weight"
)

// A tied model may be saved in other ways than transformers saves it today.
func TestWaysToSaveATiedModel(t *testing.T) {
	want := loss(t, lmtest.Open(t, qwen.Open, biased))
	parameters := lmtest.Open(t, qwen.Open, biased).Spec().Parameters
	for _, c := range []struct {
		name   string
		change func(map[string]*adapters.Tensor)
		same   bool
		more   int // parameters
	}{
		{"head as well", func(w map[string]*adapters.Tensor) { w[head] = w[table] }, true, 0},
		{"head alone", func(w map[string]*adapters.Tensor) { w[head] = w[table]; delete(w, table) }, true, 0},
		{"another head", func(w map[string]*adapters.Tensor) { w[head] = negated(w[table]) }, false, elements(t, table)},
		{"base model", func(w map[string]*adapters.Tensor) {
			for name, value := range maps.Clone(w) {
				delete(w, name)
				w[strings.TrimPrefix(name, "model.")] = value
			}
		}, true, 0},
		{"with angles", func(w map[string]*adapters.Tensor) {
			w["model.layers.0.self_attn.rotary_emb.inv_freq"] = adapters.NewTensor(adapters.Float32, 3)
		}, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			model := lmtest.Open(t, qwen.Open, changed(t, c.change))
			if got := loss(t, model); (got == want) != c.same {
				t.Errorf("loss %v, as it was %v", got, want)
			}
			if got := model.Spec().Parameters; got != parameters+int64(c.more) {
				t.Errorf("%d parameters, as it was %d", got, parameters)
			}
		})
	}
}

// Where config.json has no eos, the file beside it may.
func TestEndOfGenerationConfig(t *testing.T) {
	dir := changed(t, func(map[string]*adapters.Tensor) {})
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	config["eos_token_id"] = nil
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"config.json": string(text), "generation_config.json": `{"eos_token_id": [2, 0]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := openTokens(t, dir)[2]
	if got := lmtest.Open(t, qwen.Open, dir).Spec().EndOfAnswer; got != want {
		t.Errorf("an answer ends at %q, want %q", got, want)
	}
}

// openTokens returns the tokens of a tokenizer.json that are added, by id.
func openTokens(t *testing.T, dir string) map[int]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Model struct{ Vocab map[string]int }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	tokens := map[int]string{}
	for token, id := range file.Model.Vocab {
		tokens[id] = token
	}
	return tokens
}

// changed returns a copy of the biased model with other weights.
func changed(t *testing.T, change func(map[string]*adapters.Tensor)) string {
	t.Helper()
	dir := t.TempDir()
	lmtest.CopyFiles(t, biased, dir, "config.json", "tokenizer.json")
	tensors := weightsOf(t)
	change(tensors)
	if err := weights.Write(filepath.Join(dir, "model.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func weightsOf(t *testing.T) map[string]*adapters.Tensor {
	t.Helper()
	folder, err := weights.Open(biased)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	weights := map[string]*adapters.Tensor{}
	for _, name := range folder.Names() {
		view, _ := folder.Tensor(name)
		values, err := view.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		weights[name] = adapters.FromFloat32(slices.Clone(values), view.Shape...)
	}
	return weights
}

func elements(t *testing.T, name string) int { return adapters.Elements(weightsOf(t)[name].Shape) }

func negated(t *adapters.Tensor) *adapters.Tensor {
	values := slices.Clone(t.Float32s())
	for i := range values {
		values[i] = -values[i]
	}
	return adapters.FromFloat32(values, t.Shape...)
}

func loss(t *testing.T, model adapters.LanguageModel) float32 {
	t.Helper()
	res, err := model.Loss(t.Context(), &adapters.LossRequest{Examples: []adapters.Example{
		{Segments: []adapters.Segment{adapters.TextSegment("a photo of")}, Target: " a cat"}}})
	if err != nil {
		t.Fatal(err)
	}
	return res.Loss[0]
}
