package lmtest

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/tensortest"
)

// Tensors tests that every tensor of the family's golden folders is accounted for: read, or
// listed in docs/families, or refused by name. first names the folder of the short form. cancel
// lists tensors that cannot change any output.
func Tensors(t *testing.T, family adapters.Family, first string, cancel ...string) {
	tensortest.Suite{
		Page:        filepath.Join("..", "..", "docs", "families", family.Name+".md"),
		Checkpoints: tensortest.Checkpoints(t, first),
		Cancel:      cancel,
		Output:      func(t *testing.T, dir string) ([]float32, error) { return Numbers(t, family.OpenLanguage, dir) },
	}.Run(t)
}

// Numbers returns losses and a gradient of a checkpoint, or the error with which it is refused.
func Numbers(t *testing.T, open OpenFunc, checkpoint string) ([]float32, error) {
	t.Helper()
	model, err := open(t.Context(), &adapters.LoadRequest{Checkpoint: checkpoint, Backend: backends.TestName(), DType: adapters.Float32})
	if err != nil {
		return nil, err
	}
	defer model.Close()
	got, err := model.Loss(t.Context(), request(model, 3))
	if err != nil {
		return nil, err
	}
	return slices.Concat(got.Loss, got.Gradient.Float32s()), nil
}
