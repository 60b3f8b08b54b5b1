package main

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// YOURS: a checkpoint that loads quickly.
const checkpoint = "checkpoint"

func load(t *testing.T) adapters.VisionEncoder {
	t.Helper()
	m, err := open(&adapters.LoadRequest{Checkpoint: checkpoint})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The contract of vision encoders, in process. `bridge plugin test` runs it through the
// program.
func TestContract(t *testing.T) {
	adaptertest.TestVision(t, func() adapters.VisionEncoder { return load(t) })
}

// A picture of one colour has the same features in every patch. Another colour has other
// features.
func TestColors(t *testing.T) {
	m := load(t)
	size := m.Spec().Image.Width
	images := adapters.NewTensor(adapters.Uint8, 2, size, size, 3)
	for i := range images.Row(1).Data {
		images.Row(1).Data[i] = 200
	}
	got, err := m.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
	if err != nil {
		t.Fatal(err)
	}
	black, gray := got.Features.Row(0), got.Features.Row(1)
	last := m.Spec().Tokens - 1
	if string(black.Row(0).Data) != string(black.Row(last).Data) {
		t.Error("the patches of a black picture differ")
	}
	if string(black.Row(0).Data) == string(gray.Row(0).Data) {
		t.Error("black and gray have the same features")
	}
}
