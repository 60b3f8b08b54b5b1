// Package visiontest owns the tests that every family of vision encoders runs on its golden
// folders and on its checkpoints. It gets an adapters.Family and must not know which.
package visiontest

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/golden/goldentest"
	"github.com/modular-bridging/bridge/internal/backends"
)

// Golden runs the n golden folders in testdata: each folder as it is, and each of its
// pictures alone. It also compares DescribeVision's spec with the open encoder.
func Golden(t *testing.T, family adapters.Family, n int) {
	dirs, err := golden.Dirs("testdata")
	if err != nil || len(dirs) != n {
		t.Fatalf("golden folders %v, %v, want %d", dirs, err, n)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			folder, err := golden.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range folder.BySize() {
				encoder := Open(t, family, part.LoadRequest(""))
				goldentest.Run(t, part, golden.Vision(encoder))
				t.Run("alone", func(t *testing.T) { goldentest.Run(t, alone(part), golden.Vision(encoder)) })
				t.Run("described", func(t *testing.T) { described(t, family, part) })
			}
		})
	}
}

// Open opens an encoder on the tests' backend and closes it after the test.
func Open(t testing.TB, family adapters.Family, req *adapters.LoadRequest) adapters.VisionEncoder {
	t.Helper()
	req.Backend = backends.TestName()
	encoder, err := family.OpenVision(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := encoder.Close(); err != nil {
			t.Error(err)
		}
	})
	return encoder
}

// alone returns folder with a case for each picture.
func alone(folder *golden.Folder) *golden.Folder {
	single := *folder
	single.Cases = nil
	for _, c := range folder.Cases {
		for i := range c.Images.Shape[0] {
			one := c
			one.Images = c.Images.Slice(i, i+1)
			one.Want.Tensors = map[string]*adapters.Tensor{"features": c.Want.Tensors["features"].Slice(i, i+1)}
			single.Cases = append(single.Cases, one)
		}
	}
	return &single
}

// described compares the family's description of the folder with an encoder that is opened
// with the defaults.
func described(t *testing.T, family adapters.Family, folder *golden.Folder) {
	want := Open(t, family, &adapters.LoadRequest{Checkpoint: folder.Checkpoint()}).Spec()
	got, err := family.DescribeVision(folder.Checkpoint())
	want.Digest, want.Backend, want.MemoryBytes = "", "", 0
	if err != nil || got.Tokens != want.Tokens || got.Width != want.Width || got.Image != want.Image ||
		got.Layer != want.Layer || got.Patch != want.Patch || got.Parameters != want.Parameters || got.ID != want.ID {
		t.Errorf("described as %+v, %v; the open encoder is %+v", got, err, want)
	}
}

// Pictures returns n pictures of noise, the same in every call.
func Pictures(n, height, width int) *adapters.Tensor {
	images := adapters.NewTensor(adapters.Uint8, n, height, width, 3)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range images.Data {
		images.Data[i] = byte(rng.Uint32())
	}
	return images
}

// Contract runs the conformance suite on a checkpoint, and computes it in
// bfloat16.
func Contract(t *testing.T, family adapters.Family, checkpoint string) {
	t.Run("suite", func(t *testing.T) {
		adaptertest.TestVision(t, func() adapters.VisionEncoder {
			encoder, err := family.OpenVision(t.Context(), &adapters.LoadRequest{Checkpoint: checkpoint, Backend: backends.TestName()})
			if err != nil {
				t.Fatal(err)
			}
			return encoder
		})
	})
	t.Run("bfloat16", func(t *testing.T) { narrow(t, family, checkpoint) })
}

func narrow(t *testing.T, family adapters.Family, checkpoint string) {
	exact := Open(t, family, &adapters.LoadRequest{Checkpoint: checkpoint})
	rough := Open(t, family, &adapters.LoadRequest{Checkpoint: checkpoint, DType: adapters.BFloat16})
	if s := rough.Spec(); s.DType != adapters.BFloat16 || 2*s.MemoryBytes != exact.Spec().MemoryBytes {
		t.Errorf("spec %+v, want bfloat16 and half of %d bytes", s, exact.Spec().MemoryBytes)
	}
	size := exact.Spec().Image
	images := Pictures(2, size.Height, size.Width)
	want, got := Encode(t, exact, images), Encode(t, rough, images)
	var dot, a, b float64
	for i, x := range want {
		y := got[i]
		dot, a, b = dot+float64(x*y), a+float64(x*x), b+float64(y*y)
	}
	if cosine := dot / math.Sqrt(a*b); !(cosine > 0.999 && cosine < 1) {
		t.Errorf("the features' cosine with those in float32 is %v", cosine)
	}
}

// Encode returns the features of images, widened.
func Encode(t *testing.T, encoder adapters.VisionEncoder, images *adapters.Tensor) []float32 {
	t.Helper()
	response, err := encoder.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
	if err != nil {
		t.Fatal(err)
	}
	values, err := response.Features.ToFloat32()
	if err != nil {
		t.Fatal(err)
	}
	return values
}
