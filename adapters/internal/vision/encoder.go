package vision

import (
	"cmp"
	"context"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/layers"
)

// maxBatch is the largest batch that is computed at once. Batches are padded to
// powers of two, so that at most seven graphs are compiled.
const maxBatch = 64

// encoder is an open vision transformer.
type encoder struct {
	spec    adapters.VisionSpec
	backend compute.Backend
	lock    chan struct{} // holds one element while a call computes or closes
	store   *model.Store  // nil once closed
	exec    *model.Exec
}

var _ adapters.VisionEncoder = (*encoder)(nil)

func newEncoder(t *Tower, spec adapters.VisionSpec, backend compute.Backend, store *model.Store) (*encoder, error) {
	exec, err := model.NewExec(backend, store, func(scope *model.Scope, images *Node) *Node {
		return t.features(layers.NewParams(scope.Store(), images.Graph()), images, spec)
	})
	if err != nil {
		store.Finalize()
		return nil, adapters.Errorf(adapters.Internal, "%s: %w", spec.ID, err)
	}
	return &encoder{spec: spec, backend: backend, lock: make(chan struct{}, 1), store: store, exec: exec}, nil
}

// Spec describes the encoder.
func (e *encoder) Spec() adapters.VisionSpec { return e.spec }

// Encode returns the features of the request's pictures.
func (e *encoder) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if err := req.Check(e.spec); err != nil {
		return nil, err
	}
	select {
	case e.lock <- struct{}{}:
		defer func() { <-e.lock }()
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
	if err = backends.ExplainMemory(err); err != nil {
		return adapters.Errorf(cmp.Or(adapters.KindOf(err), adapters.Internal), "%s: encoding %s: %w", e.spec.ID, images.Describe(), err)
	}
	defer outputs[0].FinalizeAll()
	err = outputs[0].ConstBytes(func(data []byte) { copy(features.Data, data) })
	if err != nil {
		return adapters.Errorf(adapters.Internal, "%s: %w", e.spec.ID, err)
	}
	return nil
}

// nextBatch returns how many of n pictures to compute next, and the size of the batch:
// a power of two, at most a third larger than needed.
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

// Close waits for the call that computes, then frees the weights.
func (e *encoder) Close() error {
	e.lock <- struct{}{}
	defer func() { <-e.lock }()
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
