package bridge

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/qformer"
)

// bertShape is the shape of the BERT in testdata/bert.
func bertShape(vocabulary int) qformer.Config {
	c := qformer.Base()
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Queries, c.MaxPositions = 16, 3, 2, 24, 5, 33
	c.EncoderWidth, c.ProjectionDim, c.Vocabulary = 20, 12, vocabulary
	return c
}

func freshForBERT(t *testing.T) *Bridge {
	t.Helper()
	tok, err := OpenTokenizer(context.Background(), filepath.Join("testdata", "bert", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(backends.ForTest(t), bertShape(tok.Vocabulary()), tok, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// InitFromBERT sets the weights that LAVIS takes from a BERT, to the same values. All other
// weights of the Q-Former stay random.
func TestInitFromBERT(t *testing.T) {
	b, plain := freshForBERT(t), freshForBERT(t)
	if err := b.InitFromBERT(filepath.Join("testdata", "bert")); err != nil {
		t.Fatal(err)
	}
	want, _, err := weights.ReadFile(filepath.Join("testdata", "bert", "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	copied := 0
	for _, p := range b.Config().Parameters(qformer.Stage1) {
		got, err := b.values(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		random, err := plain.values(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		expected := random
		if w, ok := want[p.Name]; ok {
			copied++
			expected = slices.Concat(w.Float32s(), random[len(w.Float32s()):]) // the rest is [DEC]'s
			if rest := len(random) - len(w.Float32s()); rest != 0 && rest != len(random)/b.Config().Vocabulary {
				t.Errorf("%s: %d values are not BERT's", p.Name, rest)
			}
		}
		if !slices.Equal(got, expected) {
			t.Errorf("%s is neither BERT's nor random", p.Name)
		}
	}
	if copied != len(want) {
		t.Errorf("%d weights were copied, want %d", copied, len(want))
	}
}

func TestInitFromBERTRefusesOtherShapes(t *testing.T) {
	b := freshForBERT(t)
	for key, c := range map[string]struct{ from, to, want string }{
		"width": {`"hidden_size": 16`, `"hidden_size": 32`, "hidden_size is 32, the Q-Former's is 16"},
		"type":  {`"model_type": "bert"`, `"model_type": "roberta"`, `model_type is "roberta"`},
		"words": {`"vocab_size": 97`, `"vocab_size": 90`, "vocab_size is 90"},
		"act":   {`"hidden_act": "gelu"`, `"hidden_act": "relu"`, `activation "relu"`},
	} {
		dir := t.TempDir()
		for _, name := range []string{"config.json", "model.safetensors"} {
			data, err := os.ReadFile(filepath.Join("testdata", "bert", name))
			if err != nil {
				t.Fatal(err)
			}
			if name == "config.json" {
				changed := strings.Replace(string(data), c.from, c.to, 1)
				if changed == string(data) {
					t.Fatalf("%s: config.json has no %s", key, c.from)
				}
				data = []byte(changed)
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.InitFromBERT(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", key, err, c.want)
		}
	}
}
