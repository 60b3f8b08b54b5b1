package visiontest

import (
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/tensortest"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Tensors tests that every tensor of the family's golden folders is accounted for: read, or
// listed in docs/families, or refused by name. first names the folder of the short form. cancel
// lists tensors that cannot change any output.
func Tensors(t *testing.T, family adapters.Family, first string, cancel ...string) {
	all := tensortest.Checkpoints(t, first)
	suite := tensortest.Suite{
		Page:   filepath.Join("..", "..", "docs", "families", family.Name+".md"),
		Cancel: cancel,
		Output: func(t *testing.T, dir string) ([]float32, error) { return features(t, family, dir) },
	}
	alone, part := suite, suite
	for _, dir := range all {
		if wholeBLIP2(t, dir) {
			part.Checkpoints = append(part.Checkpoints, dir)
		} else {
			alone.Checkpoints = append(alone.Checkpoints, dir)
		}
	}
	alone.Run(t)
	if len(part.Checkpoints) > 0 {
		part.Part = weights.VisionPrefix
		part.Run(t)
	}
}

// wholeBLIP2 reports whether the encoder is a part of a folder.
func wholeBLIP2(t *testing.T, dir string) bool {
	t.Helper()
	folder, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	return folder.ModelType() == weights.TypeBLIP2
}

// features returns the last hidden state of pictures, or the error with which a checkpoint is
// refused.
func features(t *testing.T, family adapters.Family, dir string) ([]float32, error) {
	t.Helper()
	last := -1
	encoder, err := family.OpenVision(t.Context(), &adapters.LoadRequest{Checkpoint: dir, Backend: backends.TestName(), FeatureLayer: &last})
	if err != nil {
		return nil, err
	}
	defer encoder.Close()
	size := encoder.Spec().Image
	return Encode(t, encoder, Pictures(1, size.Height, size.Width)), nil
}
