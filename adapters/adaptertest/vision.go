package adaptertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// TestVision runs the conformance cases of vision encoders. open returns an
// encoder that is ready; the suite closes it.
func TestVision(t *testing.T, open func() adapters.VisionEncoder) {
	m := open()
	spec := m.Spec()
	batch := pictures(spec, 3)
	whole, err := m.Encode(t.Context(), &adapters.EncodeRequest{Images: batch})
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	cases := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"spec", func(t *testing.T) {
			testSpec(t, spec.Spec, adapters.KindVision)
			if again := m.Spec(); !reflect.DeepEqual(again, spec) {
				t.Errorf("spec changed from %+v to %+v", spec, again)
			}
			if spec.Tokens <= 0 || spec.Image.Width <= 0 || spec.Image.Height <= 0 {
				t.Errorf("spec %+v: want tokens and an image size", spec)
			}
		}},
		{"features", func(t *testing.T) {
			if err := whole.Check(spec, &adapters.EncodeRequest{Images: batch}); err != nil {
				t.Error(err)
			}
			v := values(t, "features", whole.Features)
			if n := len(v) / 3; reflect.DeepEqual(v[:n], v[n:2*n]) {
				t.Error("two pictures have the same features")
			}
		}},
		{"deterministic", func(t *testing.T) { testVisionAgain(t, m, batch, whole) }},
		{"alone as in a batch", func(t *testing.T) { testVisionAlone(t, m, batch, whole) }},
		{"request unchanged", func(t *testing.T) { wantSame(t, "images after encode", batch, pictures(spec, 3)) }},
		{"refused", func(t *testing.T) { testVisionRefused(t, m) }},
		{"canceled", func(t *testing.T) {
			wantCanceled(t, "encode", func(ctx context.Context) error {
				_, err := m.Encode(ctx, &adapters.EncodeRequest{Images: batch})
				return err
			})
			testVisionAgain(t, m, batch, whole)
		}},
		{"at once", func(t *testing.T) {
			atOnce(t, func(int) error {
				got, err := m.Encode(t.Context(), &adapters.EncodeRequest{Images: batch})
				if err == nil && !reflect.DeepEqual(got.Features.Data, whole.Features.Data) {
					err = errors.New("features differ from those of a call alone")
				}
				return err
			})
		}},
	}
	for _, c := range cases {
		t.Run(c.name, c.run)
	}
	if err := m.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// pictures returns noise, the same for the same n.
func pictures(spec adapters.VisionSpec, n int) *adapters.Tensor {
	images := adapters.NewTensor(adapters.Uint8, n, spec.Image.Height, spec.Image.Width, 3)
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range images.Data {
		images.Data[i] = byte(rng.Uint32())
	}
	return images
}

func testVisionAgain(t *testing.T, m adapters.VisionEncoder, batch *adapters.Tensor, want *adapters.EncodeResponse) {
	t.Helper()
	got, err := m.Encode(t.Context(), &adapters.EncodeRequest{Images: batch})
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "features of the same pictures", got.Features, want.Features)
}

func testVisionAlone(t *testing.T, m adapters.VisionEncoder, batch *adapters.Tensor, whole *adapters.EncodeResponse) {
	for i := range batch.Shape[0] {
		got, err := m.Encode(t.Context(), &adapters.EncodeRequest{Images: batch.Slice(i, i+1)})
		if err != nil {
			t.Fatal(err)
		}
		wantClose(t, "features of a picture alone", values(t, "alone", got.Features),
			values(t, "batch", whole.Features.Slice(i, i+1)), 1e-4)
	}
}

func testVisionRefused(t *testing.T, m adapters.VisionEncoder) {
	spec := m.Spec()
	h, w := spec.Image.Height, spec.Image.Width
	for name, images := range map[string]*adapters.Tensor{
		"no images":     nil,
		"empty batch":   adapters.NewTensor(adapters.Uint8, 0, h, w, 3),
		"wrong size":    adapters.NewTensor(adapters.Uint8, 1, h+1, w, 3),
		"wrong dtype":   adapters.NewTensor(adapters.Float32, 1, h, w, 3),
		"one channel":   adapters.NewTensor(adapters.Uint8, 1, h, w, 1),
		"missing bytes": {DType: adapters.Uint8, Shape: []int{1, h, w, 3}, Data: make([]byte, h*w*3-1)},
	} {
		_, err := m.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
		wantKind(t, name, err, adapters.Invalid)
	}
}
