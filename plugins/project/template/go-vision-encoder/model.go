package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/modular-bridging/bridge/adapters"
)

// YOURS: this file is the model. This one is small enough to read: a picture is cut into
// patches, and the pixels of each patch go through one random layer,
//
//	feature = max(0, weights · pixels)
//
// which shows a bridge the colours and some of the shapes. Your model may compute anything, as
// long as the methods do what they promise.

// model is a frozen vision encoder of N patches and width D.
type model struct {
	spec    adapters.VisionSpec
	weights [][]float32 // [D, P·P·3]
	closed  atomic.Bool
}

var _ adapters.VisionEncoder = (*model)(nil)

// config is the file config.json of a checkpoint folder.
type config struct {
	ModelType string `json:"model_type"`
	ImageSize int    `json:"image_size"` // pixels on each side
	Patch     int    `json:"patch"`      // pixels on each side
	Width     int    `json:"width"`
	Seed      uint64 `json:"seed"` // of the random weights
}

// open reads a checkpoint folder.
//
// YOURS: read your weights and report progress: loading may take as long as it needs. An error
// says what is wrong, what was expected, and what to do about it.
func open(req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
	file := filepath.Join(req.Checkpoint, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "%w", err).WithRemedy("give the folder of a checkpoint, such as the project's own")
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s: %w", file, err)
	}
	if c.ModelType != name || c.Width < 1 || c.Patch < 1 || c.ImageSize < c.Patch || c.ImageSize%c.Patch != 0 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s has model_type %q, width %d, and patches of %d pixels in pictures of %d, want %q, positive numbers, and whole patches",
			file, c.ModelType, c.Width, c.Patch, c.ImageSize, name)
	}
	if req.DType != adapters.InvalidDType && req.DType != adapters.Float32 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s computes in float32, %s is asked for", name, req.DType).
			WithRemedy("leave dtype out of the recipe")
	}
	if layer := req.FeatureLayer; layer != nil && *layer != -1 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s has one layer, -1; %d is asked for", name, *layer).
			WithRemedy("leave feature_layer out of the recipe")
	}
	m := &model{}
	rng := rand.New(rand.NewPCG(c.Seed, 1))
	pixels := 3 * c.Patch * c.Patch
	for range c.Width {
		row := make([]float32, pixels)
		for i := range row {
			row[i] = float32(rng.NormFloat64() / math.Sqrt(float64(pixels)))
		}
		m.weights = append(m.weights, row)
	}
	req.Report("weights", int64(c.Width), int64(c.Width))
	m.spec = describe(req, c, fmt.Sprintf("sha256:%x", sha256.Sum256(text)))
	return m, nil
}

// describe returns the model's spec, which says how to prepare pictures. bridge trusts it, and
// the tests check it.
func describe(req *adapters.LoadRequest, c config, digest string) adapters.VisionSpec {
	id := req.ID
	if id == "" {
		id = name
	}
	parameters := int64(c.Width * c.Patch * c.Patch * 3)
	return adapters.VisionSpec{
		Spec: adapters.Spec{
			ID: id, Family: name, Kind: adapters.KindVision, Width: c.Width, DType: adapters.Float32,
			Parameters: parameters, MemoryBytes: 4 * parameters, Digest: digest, Source: "drawn from a seed",
		},
		Tokens: (c.ImageSize / c.Patch) * (c.ImageSize / c.Patch), Patch: c.Patch, Layer: -1,
		Image: adapters.ImageSpec{
			Width: c.ImageSize, Height: c.ImageSize, Resample: "bicubic", Mode: "squash",
			Mean: [3]float32{0.5, 0.5, 0.5}, Std: [3]float32{0.25, 0.25, 0.25},
		},
	}
}

// Spec describes the encoder.
func (m *model) Spec() adapters.VisionSpec { return m.spec }

// Close frees the encoder. Later calls fail.
//
// YOURS: wait for running calls if they use what is freed.
func (m *model) Close() error {
	m.closed.Store(true)
	return nil
}

// check returns err, or an error if the model is closed.
func (m *model) check(err error) error {
	if m.closed.Load() {
		return adapters.Errorf(adapters.Invalid, "%s is closed", m.spec.ID)
	}
	return err
}

// Encode turns pictures uint8[B, H, W, 3] into features float32[B, N, D].
//
// YOURS: a picture must have the same features in every batch. Check ctx between pieces of
// work, so that a canceled call ends soon.
func (m *model) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if err := m.check(req.Check(m.spec)); err != nil {
		return nil, err
	}
	features := adapters.NewTensor(adapters.Float32, req.Images.Shape[0], m.spec.Tokens, m.spec.Width)
	for b := range req.Images.Shape[0] {
		if err := ctx.Err(); err != nil {
			return nil, adapters.Errorf(adapters.Canceled, "%w", err)
		}
		m.encode(req.Images.Row(b).Data, features.Row(b).Float32s())
	}
	return &adapters.EncodeResponse{Features: features}, nil
}

// encode writes the features [N, D] of a picture [H, W, 3].
func (m *model) encode(picture []byte, features []float32) {
	patches := m.spec.Image.Width / m.spec.Patch // on each side
	for n := range m.spec.Tokens {
		pixels := m.patch(picture, n/patches*m.spec.Patch, n%patches*m.spec.Patch)
		for d, row := range m.weights {
			sum := float32(0)
			for i, w := range row {
				sum += w * pixels[i]
			}
			features[n*m.spec.Width+d] = max(0, sum)
		}
	}
}

// patch returns the normalised pixels of the patch at a row and column.
func (m *model) patch(picture []byte, top, left int) []float32 {
	pixels := make([]float32, 0, m.spec.Patch*m.spec.Patch*3)
	for y := range m.spec.Patch {
		begin := ((top+y)*m.spec.Image.Width + left) * 3
		for i, value := range picture[begin : begin+3*m.spec.Patch] {
			channel := i % 3
			pixels = append(pixels, (float32(value)/255-m.spec.Image.Mean[channel])/m.spec.Image.Std[channel])
		}
	}
	return pixels
}
