package vit_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/vit"
)

// BenchmarkTiny encodes 64 pictures with the kit's encoder.
func BenchmarkTiny(b *testing.B) {
	layer := -1
	e, err := vit.Family().OpenVision(context.Background(), &adapters.LoadRequest{
		Checkpoint: filepath.Join("..", "..", "kit", "models", "tiny-vit"), Backend: "go", FeatureLayer: &layer,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	images := adapters.NewTensor(adapters.Uint8, 64, 64, 64, 3)
	for b.Loop() {
		if _, err := e.Encode(context.Background(), &adapters.EncodeRequest{Images: images}); err != nil {
			b.Fatal(err)
		}
	}
}
