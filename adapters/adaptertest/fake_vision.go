package adaptertest

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/modular-bridging/bridge/adapters"
)

const (
	fakeImage = 8 // pixels on a side
	fakePatch = 4
)

// FakeVision is a vision encoder whose features are the mean colours of 4×4
// patches of an 8×8 picture, shifted by a seed: float32[B, 4, 3].
type FakeVision struct {
	spec   adapters.VisionSpec
	shift  float32
	closed atomic.Bool
}

var _ adapters.VisionEncoder = (*FakeVision)(nil)

// NewFakeVision returns the encoder of a seed.
func NewFakeVision(id string, seed uint64) *FakeVision {
	m := &FakeVision{shift: float32(seed%100) / 100}
	m.spec = adapters.VisionSpec{
		Spec: adapters.Spec{
			ID: id, Family: "fake", Kind: adapters.KindVision, Width: 3, DType: adapters.Float32,
			Parameters: 1, MemoryBytes: 4, Digest: fmt.Sprintf("sha256:%064x", seed), Source: "drawn from a seed",
		},
		Tokens: (fakeImage / fakePatch) * (fakeImage / fakePatch),
		Image: adapters.ImageSpec{
			Width: fakeImage, Height: fakeImage, Resample: adapters.Bicubic, Mode: adapters.Squash, Std: [3]float32{1, 1, 1},
		},
		Layer: -1,
	}
	return m
}

// Spec returns the encoder's spec.
func (m *FakeVision) Spec() adapters.VisionSpec { return m.spec }

// Close makes later calls fail.
func (m *FakeVision) Close() error {
	m.closed.Store(true)
	return nil
}

// Encode averages patches.
func (m *FakeVision) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if err := req.Check(m.spec); err != nil {
		return nil, err
	}
	if m.closed.Load() {
		return nil, errClosed(m.spec.Spec)
	}
	batch, pixels := req.Images.Shape[0], req.Images.Data
	features := adapters.NewTensor(adapters.Float32, batch, m.spec.Tokens, 3)
	out := features.Float32s()
	for b := range batch {
		if err := ctx.Err(); err != nil {
			return nil, adapters.Errorf(adapters.Canceled, "%w", err).WithOp("encode")
		}
		for i := range fakeImage * fakeImage {
			y, x := i/fakeImage, i%fakeImage
			patch := y/fakePatch*(fakeImage/fakePatch) + x/fakePatch
			for c := range 3 {
				value := float32(pixels[(b*fakeImage*fakeImage+i)*3+c]) / 255
				out[(b*m.spec.Tokens+patch)*3+c] += (value + m.shift) / (fakePatch * fakePatch)
			}
		}
	}
	return &adapters.EncodeResponse{Features: features}, nil
}
