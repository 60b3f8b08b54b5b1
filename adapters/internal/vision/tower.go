package vision

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/preprocess"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Tower describes a vision transformer, as its checkpoint's configuration says.
type Tower struct {
	Config
	// Special is the number of tokens that are not patches: class token,
	// registers.
	Special int
	// Layer is the default feature layer.
	Layer int
	// Processor is the default class of the folder's image processor file. Images says
	// how to prepare pictures if there is no such file.
	Processor string
	Images    adapters.ImageSpec
	Positions PositionTable
	// Tensors lists the tensors of the embeddings and of the first blocks blocks,
	// without the position table. Unused lists tensors that the file may hold and the
	// model does not read.
	Tensors func(blocks int) []weights.TensorSpec
	Unused  weights.UnusedList
	// Embed builds hidden state 0, float[B, N, D], from normalised pictures
	// float32[B, H, W, 3]. Block builds one block, float[B, N, D] → float[B, N, D].
	Embed func(p layers.Params, pixels *Node) *Node
	Block func(p layers.Params, index int, x *Node) *Node
}

// Reader reads a folder's configuration. The folder may be open without weights.
type Reader func(f *weights.Folder) (*Tower, error)

// Family returns the adapter of a family of vision transformers.
func Family(name string, read Reader, modelTypes ...string) adapters.Family {
	return adapters.Family{
		Name: name, Kind: adapters.KindVision, ModelTypes: modelTypes,
		OpenVision: func(ctx context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
			return open(ctx, name, read, req)
		},
		DescribeVision: func(dir string) (adapters.VisionSpec, error) { return describe(name, read, dir) },
	}
}

// ConfigError returns the error for a configuration that a family cannot compute.
func ConfigError(f *weights.Folder, err error) error {
	var known *adapters.Error
	if errors.As(err, &known) {
		c := *known
		c.Message = f.Path("config.json") + ": " + c.Message
		return &c
	}
	return adapters.Errorf(adapters.Unsupported, "%s: %w", f.Path("config.json"), err)
}

// WrongType returns the error for a folder whose model_type the family does not read.
func WrongType(f *weights.Folder, family string, known ...string) error {
	return adapters.Errorf(adapters.Unsupported, "%s: %s is %q, family %s reads %q",
		f.Path("config.json"), f.ConfigKey("model_type"), f.ModelType(), family, known)
}

// describe returns the spec of an encoder of dir, without reading its weights.
func describe(family string, read Reader, dir string) (adapters.VisionSpec, error) {
	f, err := weights.OpenConfig(dir, adapters.KindVision)
	if err != nil {
		return adapters.VisionSpec{}, err
	}
	t, err := read(f)
	if err != nil {
		return adapters.VisionSpec{}, err
	}
	return t.spec(family, &adapters.LoadRequest{Checkpoint: dir})
}

// spec returns the encoder's spec for a request.
func (t *Tower) spec(family string, req *adapters.LoadRequest) (adapters.VisionSpec, error) {
	layer := t.Layer
	if req.FeatureLayer != nil {
		layer = *req.FeatureLayer
	}
	blocks, err := t.blocksFor(layer)
	if err != nil {
		return adapters.VisionSpec{}, err
	}
	images, err := preprocess.Read(req.Checkpoint, t.Processor, t.Images)
	if err != nil {
		return adapters.VisionSpec{}, err
	}
	images = preprocess.WithSize(images, req.ImageSize)
	rows, columns := t.grid(images.Size())
	if rows < 1 || columns < 1 {
		return adapters.VisionSpec{}, adapters.Errorf(adapters.Invalid, "pictures of %d by %d pixels are smaller than a patch of %d", images.Width, images.Height, t.Patch)
	}
	id := req.ID
	if id == "" {
		id = filepath.Base(filepath.Clean(req.Checkpoint))
	}
	dtype := req.DType
	if dtype == adapters.InvalidDType {
		dtype = adapters.Float32
	}
	return adapters.VisionSpec{
		Spec: adapters.Spec{
			ID: id, Family: family, Kind: adapters.KindVision, Width: t.Width, DType: dtype,
			Parameters: t.parameters(), Source: req.Checkpoint,
		},
		Tokens: t.Special + rows*columns, Patch: int(t.Patch), Image: images, Layer: blocks - t.Blocks - 1,
	}, nil
}

// parameters counts the weights of all blocks.
func (t *Tower) parameters() int64 {
	var n int64
	for _, w := range append(t.Tensors(t.Blocks), t.Positions.Spec) {
		n += int64(adapters.Elements(w.Shape))
	}
	return n
}

// open reads the weights. Graphs are compiled when they are first used. The computation is
// in float32 unless the request says bfloat16.
func open(ctx context.Context, family string, read Reader, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
	f, err := weights.OpenPart(req.Checkpoint, adapters.KindVision)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := read(f)
	if err != nil {
		return nil, err
	}
	spec, err := t.spec(family, req)
	if err != nil {
		return nil, err
	}
	if err := t.check(f); err != nil {
		return nil, err
	}
	backend, err := backends.Open(req.Backend)
	if err != nil {
		return nil, err
	}
	spec.Backend = backends.Describe(backend)
	if spec.Digest, err = f.Digest(); err != nil {
		return nil, err
	}
	store, err := t.load(ctx, f, backend, spec, req)
	if err != nil {
		return nil, err
	}
	spec.MemoryBytes = store.ByteSize()
	return newEncoder(t, spec, backend, store)
}

// check compares all tensors with the configuration. It explains the one mismatch that
// comes from the picture size.
func (t *Tower) check(f *weights.Folder) error {
	name, view, ok := f.Find(t.Positions.Spec)
	rows := len(t.Positions.Spec.Shape) - 2
	if ok && len(view.Shape) == rows+2 && view.Shape[rows+1] == t.Width && view.Shape[rows] != t.Positions.Spec.Shape[rows] {
		return adapters.Errorf(adapters.Unsupported, "%s: %s has %d positions, but image_size %d in patches of %d needs %d",
			f.Dir(), name, view.Shape[rows], t.Image, t.Patch, t.Positions.Spec.Shape[rows]).
			WithRemedy("config.json's image_size is that of the weights; ask for pictures of another size with image_size in the recipe")
	}
	return f.Check(append(t.Tensors(t.Blocks), t.Positions.Spec), t.Unused.Has)
}

// load reads the tensors of the blocks that are computed, with the position table at the
// pictures' size.
func (t *Tower) load(ctx context.Context, f *weights.Folder, backend compute.Backend, spec adapters.VisionSpec,
	req *adapters.LoadRequest) (*model.Store, error) {
	rows, columns := t.grid(spec.Image.Size())
	resized := rows != t.side() || columns != t.side()
	specs := t.Tensors(t.blocksOf(spec))
	if !resized {
		specs = append(specs, t.Positions.Spec)
	}
	store, err := f.Load(ctx, backend, specs, weights.Options{
		DType:    spec.DType,
		Ignore:   func(string) bool { return true }, // checked before
		Progress: func(done, total int64) { req.Report("weights", done, total) },
	})
	if err != nil || !resized {
		return store, err
	}
	if err := t.loadResized(f, backend, spec.DType, rows, columns, store); err != nil {
		store.Finalize()
		return nil, err
	}
	return store, nil
}

// loadResized adds the position table for rows × columns patches to the store.
func (t *Tower) loadResized(f *weights.Folder, backend compute.Backend, dtype adapters.DType, rows, columns int, store *model.Store) error {
	table := t.Positions.Spec
	_, view, _ := f.Find(table)
	values, err := view.Float32s()
	if err != nil {
		return err
	}
	values = t.Positions.resized(values, t.Width, t.side(), rows, columns)
	shape := append([]int(nil), table.Shape...)
	shape[len(shape)-2] = len(values) / t.Width
	host, err := adapters.FromFloat32(values, shape...).Convert(dtype)
	if err != nil {
		return err
	}
	tensor, err := hosttensor.ToDevice(backend, host)
	if err != nil {
		return err
	}
	v, err := store.CreateVariable(layers.VariablePath(table.Name), tensor)
	if err != nil {
		return adapters.Errorf(adapters.Internal, "%s: %w", table.Name, err)
	}
	v.SetTrainable(false)
	return nil
}

// blocksOf returns how many blocks lead to the spec's hidden state.
func (t *Tower) blocksOf(spec adapters.VisionSpec) int { return spec.Layer + t.Blocks + 1 }

// features builds the spec's hidden state, in the spec's type: uint8[B, H, W, 3] →
// float[B, N, D].
func (t *Tower) features(p layers.Params, images *Node, spec adapters.VisionSpec) *Node {
	x := t.Embed(p, normalize(images, spec.Image))
	x.AssertDims(images.Shape().Dimensions[0], spec.Tokens, t.Width)
	for i := range t.blocksOf(spec) {
		x = t.Block(p, i, x)
	}
	return x
}
