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

// YOURS: replace the model in this file. The one here is small, so you can read it all. It
// cuts a picture into patches, and each patch's pixels go through one random layer:
//
//	feature = max(0, weights · pixels)
//
// That shows a bridge the colours and some of the shapes. Your model may compute anything, if
// its methods keep their contract.

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
	ImageSize int    `json:"image_size"` // pixels of each side
	Patch     int    `json:"patch"`      // pixels of each side
	Width     int    `json:"width"`
	Seed      uint64 `json:"seed"` // of the random weights
}

// open reads a checkpoint folder.
//
// YOURS: read your weights and report progress. Loading has no time limit. An error says
// what is wrong, what is expected, and what the user can do.
func open(req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
	file := filepath.Join(req.Checkpoint, "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "%w", err).WithRemedy("set path to a checkpoint folder, such as the project's own")
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
		return nil, adapters.Errorf(adapters.Unsupported, "%s computes in float32, %s was requested", name, req.DType).
			WithRemedy("leave dtype out of the recipe")
	}
	if layer := req.FeatureLayer; layer != nil && *layer != -1 {
		return nil, adapters.Errorf(adapters.Unsupported, "%s has one layer, -1; %d was requested", name, *layer).
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

// describe returns the spec, with the preparation of pictures. bridge trusts it, and the tests
// check it.
func describe(req *adapters.LoadRequest, c config, digest string) adapters.VisionSpec {
	id := req.ID
	if id == "" {
		id = name
	}
	parameters := int64(c.Width * c.Patch * c.Patch * 3)
	return adapters.VisionSpec{
		Spec: adapters.Spec{
			ID: id, Family: name, Kind: adapters.KindVision, Width: c.Width, DType: adapters.Float32,
			Parameters: parameters, MemoryBytes: 4 * parameters, Digest: digest, Source: "random, from a seed",
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

// Close frees the encoder; calls after it fail.
//
// YOURS: if running calls use the memory that you free, wait for them.
func (m *model) Close() error {
	m.closed.Store(true)
	return nil
}

// check returns an error if the model is closed, and err otherwise.
func (m *model) check(err error) error {
	if m.closed.Load() {
		return adapters.Errorf(adapters.Invalid, "%s is closed", m.spec.ID)
	}
	return err
}

// Encode turns pictures uint8[B, H, W, 3] into features float32[B, N, D].
//
// YOURS: a picture must have the same features in every batch. Check ctx between pieces of
// work, so that a call that was given up ends soon.
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
	patches := m.spec.Image.Width / m.spec.Patch // of each side
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

// patch returns the normalised pixels of the patch that starts at row top and column left.
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
