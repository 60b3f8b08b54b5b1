package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"unsafe"

	"github.com/gomlx/compute/dtypes/float16"
	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/mapped"
)

// View is a tensor in a file.
type View struct {
	DType safetensors.DType
	Shape []int
	Data  []byte // little-endian, owned by the folder: read-only, invalid after Close

	mapped bool // Data is in a mapped file
}

// Release gives the memory of a tensor in a mapped file back to the system. The data can still be
// read; the system then reads it from the file again. For other data, Release does nothing.
func (v View) Release() {
	if v.mapped {
		release(v.Data)
	}
}

// Describe returns the type and shape, for example "F32[2, 3]".
func (v View) Describe() string { return v.DType.String() + adapters.ShapeString(v.Shape) }

// Float32s returns a copy of the elements of a float tensor, converted to float32.
func (v View) Float32s() ([]float32, error) {
	n := adapters.Elements(v.Shape)
	out := make([]float32, n)
	switch v.DType {
	case safetensors.F32:
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(v.Data[4*i:]))
		}
	case safetensors.BF16:
		for i := range out {
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(v.Data[2*i:])) << 16)
		}
	case safetensors.F16:
		for i := range out {
			out[i] = float16.FromBits(binary.LittleEndian.Uint16(v.Data[2*i:])).Float32()
		}
	default:
		return nil, adapters.Errorf(adapters.Unsupported, "tensor is %s, want F32, F16 or BF16", v.Describe())
	}
	return out, nil
}

// isFloat reports whether Float32s can read the type.
func isFloat(d safetensors.DType) bool {
	return d == safetensors.F32 || d == safetensors.F16 || d == safetensors.BF16
}

// file is an open safetensors file.
type file struct {
	path     string
	stamp    stamp
	data     []byte
	unmap    func() error
	metadata map[string]string
	tensors  map[string]View
}

func openFile(path string) (*file, error) {
	data, info, unmap, err := mapped.Map(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, adapters.Errorf(adapters.NotFound, "weights are missing: %w", err).
			WithRemedy("download the checkpoint folder again, with all its shards")
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "cannot open the weights: %w", err)
	}
	f := &file{path: path, stamp: stampOf(info), data: data, unmap: unmap}
	if f.metadata, f.tensors, err = parse(path, data); err != nil {
		return nil, errors.Join(err, unmap())
	}
	for name, v := range f.tensors {
		v.mapped = true
		f.tensors[name] = v
	}
	return f, nil
}

func (f *file) close() error {
	f.data, f.tensors = nil, nil
	return f.unmap()
}

// parse checks the header of a file, and returns its metadata and tensors.
func parse(path string, data []byte) (map[string]string, map[string]View, error) {
	parsed, err := safetensors.Deserialize(data)
	switch {
	case err == nil:
	case bytes.HasPrefix(data, []byte("version https://git-lfs.")):
		return nil, nil, adapters.Errorf(adapters.NotFound, "%s is a pointer of git-lfs, not the file itself", path).
			WithRemedy("download it with git lfs pull, or with bridge models pull")
	case strings.Contains(err.Error(), "invalid DType"): // the library has no error value for this
		return nil, nil, adapters.Errorf(adapters.Unsupported, "%s: %w: want tensors of F32, F16 or BF16", path, err).
			WithRemedy("save the model in one of these types")
	default:
		return nil, nil, corrupt(path, "not a whole safetensors file (%d bytes): %w", len(data), err)
	}
	_, header, err := safetensors.ReadMetadata(data)
	if err != nil {
		return nil, nil, corrupt(path, "not a whole safetensors file: %w", err)
	}
	views := make(map[string]View, parsed.Len())
	for _, t := range parsed.Tensors() {
		shape := make([]int, len(t.TensorView.Shape()))
		for i, d := range t.TensorView.Shape() {
			if d > math.MaxInt32 {
				return nil, nil, corrupt(path, "tensor %q has axis %d of size %d", t.Name, i, d)
			}
			shape[i] = int(d)
		}
		views[t.Name] = View{DType: t.TensorView.DType(), Shape: shape, Data: t.TensorView.Data()}
	}
	return header.Metadata(), views, nil
}

// ReadFile reads a safetensors file of uint8, int32, float32 and bfloat16 tensors, and its
// metadata, into memory.
func ReadFile(path string) (map[string]*adapters.Tensor, map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, adapters.Errorf(adapters.NotFound, "cannot read the tensors: %w", err)
	}
	metadata, views, err := parse(path, data)
	if err != nil {
		return nil, nil, err
	}
	tensors := make(map[string]*adapters.Tensor, len(views))
	for name, v := range views {
		dtype, ok := hostType(v.DType)
		if !ok {
			return nil, nil, adapters.Errorf(adapters.Unsupported, "%s: tensor %q is %s, want U8, I32, F32 or BF16", path, name, v.Describe())
		}
		tensors[name] = &adapters.Tensor{DType: dtype, Shape: slices.Clone(v.Shape), Data: v.Data}
	}
	return tensors, metadata, nil
}

func hostType(d safetensors.DType) (adapters.DType, bool) {
	switch d {
	case safetensors.U8:
		return adapters.Uint8, true
	case safetensors.I32:
		return adapters.Int32, true
	case safetensors.F32:
		return adapters.Float32, true
	case safetensors.BF16:
		return adapters.BFloat16, true
	}
	return adapters.InvalidDType, false
}

func fileType(d adapters.DType) (safetensors.DType, bool) {
	switch d {
	case adapters.Uint8:
		return safetensors.U8, true
	case adapters.Int32:
		return safetensors.I32, true
	case adapters.Float32:
		return safetensors.F32, true
	case adapters.BFloat16:
		return safetensors.BF16, true
	}
	return 0, false
}

// aligned reports whether data is aligned for elements of size bytes. Other programs may write
// headers without padding.
func aligned(data []byte, size int) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(size) == 0
}

// MapFile maps any file into memory, read-only, until unmap is called.
func MapFile(path string) (data []byte, unmap func() error, err error) {
	data, _, unmap, err = mapped.Map(path)
	return data, unmap, err
}
