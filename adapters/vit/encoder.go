package vit

import (
	"context"
	"path/filepath"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/checkpoint"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/layers"
)

// defaultLayer is the hidden state that BLIP-2 takes from CLIP's ViT-L.
const defaultLayer = -2

// maxBatch is the largest batch that is computed at once. Batches are padded to
// powers of two, so that at most seven graphs are compiled.
const maxBatch = 64

// Family returns the family "vit".
func Family() adapters.Family {
	return adapters.Family{
		Name:       "vit",
		Kind:       adapters.KindVision,
		OpenVision: Open,
		ModelTypes: []string{visionOnly, wholeCLIP},
	}
}

// encoder is an open vision transformer.
type encoder struct {
	spec    adapters.VisionSpec
	backend compute.Backend
	turn    chan struct{} // holds one element while somebody computes or closes
	store   *model.Store  // nil once closed
	exec    *model.Exec
}

var _ adapters.VisionEncoder = (*encoder)(nil)

// Open opens a checkpoint folder. The computation is in float32 unless the
// request says bfloat16; the features are its hidden state −2 unless the
// request names another.
func Open(ctx context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
	f, err := checkpoint.Open(req.Checkpoint)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	image, err := imageSpec(f, c)
	if err != nil {
		return nil, err
	}
	blocks, err := c.blocksFor(layerOf(req))
	if err != nil {
		return nil, err
	}
	backend, err := backends.Open(req.Backend)
	if err != nil {
		return nil, err
	}
	dtype := req.DType
	if dtype == adapters.InvalidDType {
		dtype = adapters.Float32
	}
	store, err := c.load(ctx, f, backend, req, dtype, blocks)
	if err != nil {
		return nil, err
	}
	spec, err := c.spec(f, backend, req, image, dtype, blocks, store)
	if err != nil {
		store.Finalize()
		return nil, err
	}
	return newEncoder(c, spec, backend, store, blocks)
}

func layerOf(req *adapters.LoadRequest) int {
	if req.FeatureLayer != nil {
		return *req.FeatureLayer
	}
	return defaultLayer
}

// load checks all the weights and loads those of the blocks that are run.
func (c config) load(ctx context.Context, f *checkpoint.Folder, backend compute.Backend, req *adapters.LoadRequest,
	dtype adapters.DType, blocks int) (*model.Store, error) {
	if err := c.checkPositions(f); err != nil {
		return nil, err
	}
	if err := f.Check(c.wants(c.Blocks), unused(f.ModelType())); err != nil {
		return nil, err
	}
	return f.Load(ctx, backend, c.wants(blocks), checkpoint.Options{
		DType:    dtype,
		Ignore:   func(string) bool { return true }, // checked above
		Progress: func(done, total int64) { req.Report("weights", done, total) },
	})
}

func (c config) spec(f *checkpoint.Folder, backend compute.Backend, req *adapters.LoadRequest, image adapters.ImageSpec,
	dtype adapters.DType, blocks int, store *model.Store) (adapters.VisionSpec, error) {
	digest, err := f.Digest()
	if err != nil {
		return adapters.VisionSpec{}, err
	}
	id := req.ID
	if id == "" {
		id = filepath.Base(filepath.Clean(req.Checkpoint))
	}
	return adapters.VisionSpec{
		Spec: adapters.Spec{
			ID: id, Family: "vit", Kind: adapters.KindVision, Width: c.Width, DType: dtype,
			Parameters: c.parameters(), MemoryBytes: store.ByteSize(), Digest: digest,
			Backend: backends.Describe(backend), Source: req.Checkpoint,
		},
		Tokens: c.tokens(),
		Image:  image,
		Layer:  blocks - c.Blocks - 1,
	}, nil
}

func newEncoder(c config, spec adapters.VisionSpec, backend compute.Backend, store *model.Store, blocks int) (*encoder, error) {
	dtype := hosttensor.DType(spec.DType)
	exec, err := model.NewExec(backend, store, func(scope *model.Scope, images *Node) *Node {
		return c.features(layers.NewParams(scope.Store(), images.Graph()), images, spec.Image, dtype, blocks)
	})
	if err != nil {
		store.Finalize()
		return nil, adapters.Errorf(adapters.Internal, "%s: %w", spec.ID, err)
	}
	return &encoder{spec: spec, backend: backend, turn: make(chan struct{}, 1), store: store, exec: exec}, nil
}

// Spec returns what the encoder is.
func (e *encoder) Spec() adapters.VisionSpec { return e.spec }

// Encode returns the features of the request's pictures.
func (e *encoder) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if err := req.Check(e.spec); err != nil {
		return nil, err
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, canceled(ctx)
	}
	if e.store == nil {
		return nil, adapters.Errorf(adapters.Invalid, "%s is closed", e.spec.ID)
	}
	total := req.Images.Shape[0]
	features := adapters.NewTensor(e.spec.DType, total, e.spec.Tokens, e.spec.Width)
	for lo := 0; lo < total; {
		if ctx.Err() != nil {
			return nil, canceled(ctx)
		}
		take, batch := nextBatch(total - lo)
		if err := e.encode(req.Images.Slice(lo, lo+take), batch, features.Slice(lo, lo+take)); err != nil {
			return nil, err
		}
		lo += take
	}
	return &adapters.EncodeResponse{Features: features}, nil
}

// encode computes images, padded with black pictures to batch, into features.
func (e *encoder) encode(images *adapters.Tensor, batch int, features *adapters.Tensor) error {
	if images.Shape[0] < batch {
		padded := adapters.NewTensor(adapters.Uint8, append([]int{batch}, images.Shape[1:]...)...)
		copy(padded.Data, images.Data)
		images = padded
	}
	input, err := hosttensor.ToDevice(e.backend, images)
	if err != nil {
		return adapters.Errorf(adapters.Exhausted, "%s: %w", e.spec.ID, err)
	}
	defer input.FinalizeAll()
	outputs, err := e.exec.Call(input)
	if err != nil {
		return adapters.Errorf(adapters.Internal, "%s: encoding %s: %w", e.spec.ID, images.Describe(), err)
	}
	defer outputs[0].FinalizeAll()
	err = outputs[0].ConstBytes(func(data []byte) { copy(features.Data, data) })
	if err != nil {
		return adapters.Errorf(adapters.Internal, "%s: %w", e.spec.ID, err)
	}
	return nil
}

// nextBatch returns how many of n pictures to compute next, and in a batch of
// what size: a power of two that is at most a third too large.
func nextBatch(n int) (take, batch int) {
	if n >= maxBatch {
		return maxBatch, maxBatch
	}
	batch = 1
	for batch < n {
		batch *= 2
	}
	if 3*batch > 4*n {
		return batch / 2, batch / 2
	}
	return n, batch
}

// Close frees the weights once nobody computes.
func (e *encoder) Close() error {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	if e.store == nil {
		return nil
	}
	e.exec.Finalize()
	e.store.Finalize()
	e.store = nil
	return nil
}

func canceled(ctx context.Context) error {
	return adapters.Errorf(adapters.Canceled, "encoding: %w", context.Cause(ctx))
}
