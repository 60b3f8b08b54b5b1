package checkpoint

import (
	"io"

	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
)

// Write replaces path, atomically, by a safetensors file of tensors and metadata.
// The same tensors give the same bytes.
func Write(path string, tensors map[string]*adapters.Tensor, metadata map[string]string) error {
	views := make(map[string]hostView, len(tensors))
	for name, t := range tensors {
		dtype, ok := fileType(t.DType)
		if !ok {
			return adapters.Errorf(adapters.Invalid, "tensor %q is %s, which safetensors files do not hold here", name, t.Describe())
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

// hostView shows a tensor to the serializer.
type hostView struct {
	tensor *adapters.Tensor
	dtype  safetensors.DType
}

var _ safetensors.View = hostView{}

func (v hostView) DType() safetensors.DType { return v.dtype }
func (v hostView) Data() []byte             { return v.tensor.Data }
func (v hostView) DataLen() uint64          { return uint64(len(v.tensor.Data)) }

func (v hostView) Shape() []uint64 {
	shape := make([]uint64, len(v.tensor.Shape))
	for i, d := range v.tensor.Shape {
		shape[i] = uint64(d)
	}
	return shape
}
