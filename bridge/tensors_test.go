package bridge

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/tensortest"
	"github.com/modular-bridging/bridge/qformer"
)

var checkpointsPage = filepath.Join("..", "docs", "checkpoints.md")

func TestEveryTensorOfABLIP2IsAccountedFor(t *testing.T) {
	onGoBackend(t)
	for class, dirs := range map[string][]string{
		"Blip2ForConditionalGeneration": {transformed("opt"), transformed("t5")},
		"Blip2ForImageTextRetrieval":    {transformed("retrieval")},
	} {
		t.Run(class, func(t *testing.T) {
			tensortest.Suite{
				Page: checkpointsPage, Section: "Tensors of a " + class + " that are not read", Checkpoints: dirs,
				Cancel: []string{"qformer.encoder.layer.N.attention.attention.key.bias",
					"qformer.encoder.layer.N.crossattention.attention.key.bias"},
				Output: outputs,
			}.Run(t)
		})
	}
}

// onGoBackend makes a test use the Go backend. How a file is read does not depend on the backend,
// and XLA would compile the graphs again for each tensor.
func onGoBackend(t *testing.T) {
	t.Helper()
	t.Setenv("BRIDGE_TEST_BACKEND", "")
}

// outputs returns what a bridge makes of features of noise and, in stage 1, of texts.
func outputs(t *testing.T, dir string) ([]float32, error) {
	t.Helper()
	b, err := Load(t.Context(), backends.ForTest(t), dir)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	features := adapters.NewTensor(adapters.Float32, 2, 7, b.Config().EncoderWidth)
	for i := range features.Float32s() {
		features.Float32s()[i] = float32((i*i+3*i)%17) / 9
	}
	if b.Stage() == qformer.Stage2 {
		prompts, err := b.SoftPrompts(t.Context(), features)
		if err != nil {
			return nil, err
		}
		return prompts.Float32s(), nil
	}
	texts := []string{"a cat", "a dog and a cat"}
	similar, err := b.Similarity(t.Context(), features, texts)
	if err != nil {
		return nil, err
	}
	match, err := b.Match(t.Context(), features, texts)
	if err != nil {
		return nil, err
	}
	return slices.Concat(similar.Float32s(), match.Float32s()), nil
}

func TestEveryTensorOfABERTIsAccountedFor(t *testing.T) {
	onGoBackend(t)
	fresh := freshForBERT(t)
	start := map[string][]float32{}
	for _, p := range fresh.Config().Parameters(qformer.Stage1) {
		values, err := fresh.values(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		start[p.Name] = values
	}
	tensortest.Suite{
		Page: checkpointsPage, Section: "Tensors of a BERT that are not read",
		Checkpoints: []string{filepath.Join("testdata", "bert")},
		Output: func(t *testing.T, dir string) ([]float32, error) {
			var all []float32
			for _, p := range fresh.Config().Parameters(qformer.Stage1) {
				if err := fresh.setValues(p.Name, slices.Clone(start[p.Name]), p.Shape...); err != nil {
					return nil, err
				}
			}
			if err := fresh.InitFromBERT(dir); err != nil {
				return nil, err
			}
			for _, p := range fresh.Config().Parameters(qformer.Stage1) {
				values, err := fresh.values(p.Name)
				if err != nil {
					return nil, err
				}
				all = append(all, values...)
			}
			return all, nil
		},
	}.Run(t)
}
