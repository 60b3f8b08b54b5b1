package weights

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
)

// Write replaces path atomically with a safetensors file of tensors and metadata. The same tensors
// give the same bytes.
func Write(path string, tensors map[string]*adapters.Tensor, metadata map[string]string) error {
	views := make(map[string]hostView, len(tensors))
	for name, t := range tensors {
		dtype, ok := fileType(t.DType)
		if !ok {
			return adapters.Errorf(adapters.Invalid, "tensor %q is %s, which bridge does not write to safetensors files", name, t.Describe())
		}
		if err := t.Check(name, t.Shape, t.DType); err != nil {
			return err
		}
		views[name] = hostView{t, dtype}
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		return safetensors.SerializeToWriter(views, metadata, w)
	})
}

// Source is a tensor that exists only while it is written.
type Source struct {
	DType adapters.DType
	Shape []int
	// Read returns the tensor. It is called once, when it is the tensor's turn.
	Read func() (*adapters.Tensor, error)
}

// WriteSources is [Write] for tensors of which one at a time is in memory.
func WriteSources(path string, sources map[string]Source, metadata map[string]string) error {
	views := make(map[string]sourceView, len(sources))
	var failed error
	for name, s := range sources {
		dtype, ok := fileType(s.DType)
		if !ok {
			return adapters.Errorf(adapters.Invalid, "tensor %q is %s, which bridge does not write to safetensors files", name, s.DType)
		}
		views[name] = sourceView{name, s, dtype, &failed}
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		if err := safetensors.SerializeToWriter(views, metadata, w); failed == nil {
			failed = err
		}
		return failed
	})
}

// WriteFolder writes the weights of a checkpoint folder in the form of transformers:
// model.safetensors or, for more than shard bytes, shards with an index. progress, if not nil, is
// called with the number of bytes written so far, and the total.
func WriteFolder(ctx context.Context, dir string, tensors map[string]View, shard int64, progress func(done, total int64)) error {
	var last View // last view that the serializer requested
	shards, total := split(tensors, shard, &last)
	index := map[string]string{}
	var done int64
	for i, part := range shards {
		name := weightsFile
		if len(shards) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		for tensor := range part {
			index[tensor] = name
		}
		err := atomicfile.Write(filepath.Join(dir, name), func(w io.Writer) error {
			defer func() { last.Release() }()
			return safetensors.SerializeToWriter(part, map[string]string{"format": "pt"}, counter{w, func(n int) error {
				done += int64(n)
				if progress != nil {
					progress(min(done, total), total)
				}
				return ctx.Err()
			}})
		})
		if err != nil {
			return err
		}
	}
	if len(shards) == 1 {
		return nil
	}
	data, err := json.MarshalIndent(map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": index}, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(dir, indexFile), append(data, '\n'))
}

// split divides tensors, sorted by name, into shards of at most limit bytes, and returns the total
// number of bytes. A tensor with more bytes gets its own shard.
func split(tensors map[string]View, limit int64, last *View) (shards []map[string]fileView, total int64) {
	var size int64
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		v := tensors[name]
		n := int64(len(v.Data))
		if len(shards) == 0 || size > 0 && size+n > limit {
			shards, size = append(shards, map[string]fileView{}), 0
		}
		shards[len(shards)-1][name] = fileView{v, last}
		size += n
		total += n
	}
	return shards, total
}

// counter reports the number of bytes written through it. A write fails if report returns an error.
type counter struct {
	w      io.Writer
	report func(n int) error
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if ended := c.report(n); err == nil {
		err = ended
	}
	return n, err
}

// fileView adapts a view to the serializer, which has finished with one view when it requests
// the next.
type fileView struct {
	view View
	last *View
}

var _ safetensors.View = fileView{}

func (v fileView) DType() safetensors.DType { return v.view.DType }
func (v fileView) DataLen() uint64          { return uint64(len(v.view.Data)) }
func (v fileView) Shape() []uint64          { return extents(v.view.Shape) }

func (v fileView) Data() []byte {
	v.last.Release()
	*v.last = v.view
	return v.view.Data
}

// ViewOf returns a host tensor as a view.
func ViewOf(t *adapters.Tensor) (View, error) {
	dtype, ok := fileType(t.DType)
	if !ok {
		return View{}, adapters.Errorf(adapters.Invalid, "tensor is %s, which bridge does not write to safetensors files", t.Describe())
	}
	return View{DType: dtype, Shape: t.Shape, Data: t.Data}, nil
}

// hostView adapts a host tensor to the serializer.
type hostView struct {
	tensor *adapters.Tensor
	dtype  safetensors.DType
}

var _ safetensors.View = hostView{}

func (v hostView) DType() safetensors.DType { return v.dtype }
func (v hostView) Data() []byte             { return v.tensor.Data }
func (v hostView) DataLen() uint64          { return uint64(len(v.tensor.Data)) }

func (v hostView) Shape() []uint64 { return extents(v.tensor.Shape) }

// sourceView adapts a source to the serializer, which requests each tensor's data once. The
// first error that a source returns goes to failed.
type sourceView struct {
	name   string
	source Source
	dtype  safetensors.DType
	failed *error
}

var _ safetensors.View = sourceView{}

func (v sourceView) DType() safetensors.DType { return v.dtype }
func (v sourceView) Shape() []uint64          { return extents(v.source.Shape) }

func (v sourceView) DataLen() uint64 {
	return uint64(adapters.Elements(v.source.Shape) * v.source.DType.Size())
}

func (v sourceView) Data() []byte {
	if *v.failed != nil {
		return nil
	}
	t, err := v.source.Read()
	if err == nil {
		err = t.Check(v.name, v.source.Shape, v.source.DType)
	}
	if err != nil {
		*v.failed = err
		return nil
	}
	return t.Data
}

func extents(shape []int) []uint64 {
	out := make([]uint64, len(shape))
	for i, d := range shape {
		out[i] = uint64(d)
	}
	return out
}
