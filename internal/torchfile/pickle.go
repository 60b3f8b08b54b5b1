package torchfile

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
)

// storageTypes returns the element types of the known storage classes.
func storageTypes() map[string]safetensors.DType {
	return map[string]safetensors.DType{
		"FloatStorage": safetensors.F32, "HalfStorage": safetensors.F16, "BFloat16Storage": safetensors.BF16, "DoubleStorage": safetensors.F64,
		"LongStorage": safetensors.I64, "IntStorage": safetensors.I32, "ShortStorage": safetensors.I16, "CharStorage": safetensors.I8,
		"ByteStorage": safetensors.U8, "BoolStorage": safetensors.BOOL,
	}
}

// storageRef is a pickle's reference to a storage.
type storageRef struct {
	dtype    safetensors.DType
	key      string
	elements int
}

// storage is the memory of one or more tensors.
type storage struct {
	dtype safetensors.DType
	data  []byte
}

// storageIn returns the storage in bytes. It returns an error if bytes is too short.
func (s storageRef) storageIn(bytes []byte) (*storage, error) {
	if s.elements < 0 || len(bytes)/int(s.dtype.Size()) < s.elements {
		return nil, fmt.Errorf("storage %s has %d bytes, want %d elements of %s", s.key, len(bytes), s.elements, s.dtype)
	}
	return &storage{s.dtype, bytes[:s.elements*int(s.dtype.Size())]}, nil
}

// tensor is a view of a storage. Strides are in elements.
type tensor struct {
	storage       *storage
	offset        int
	shape, stride []int
}

// unpickle reads the pickle at the beginning of data. It returns the object and the rest of data.
// find returns the storage for a reference in the pickle.
func unpickle(data []byte, find func(storageRef) (*storage, error)) (object any, rest []byte, err error) {
	n, err := scan(data)
	if err != nil {
		return nil, nil, err
	}
	u := pickle.NewUnpickler(bytes.NewReader(data[:n]))
	u.FindClass = findClass
	seen := map[string]*storage{}
	u.PersistentLoad = func(id any) (any, error) {
		s, err := parseStorage(id)
		if err != nil || seen[s.key] != nil {
			return seen[s.key], err
		}
		if seen[s.key], err = find(s); err != nil {
			return nil, err
		}
		return seen[s.key], nil
	}
	u.GetExtension = func(code int) (any, error) { return nil, unsupportedClass(fmt.Sprintf("extension %d", code)) }
	object, err = u.Load()
	return object, data[n:], err
}

// parseStorage reads ("storage", class, key, location, elements, ...).
func parseStorage(id any) (s storageRef, err error) {
	t, ok := id.(*types.Tuple)
	if !ok || t.Len() < 5 || t.Get(0) != "storage" {
		return s, fmt.Errorf("a persistent id is not a storage: %v", id)
	}
	class, isClass := t.Get(1).(storageClass)
	key, isKey := t.Get(2).(string)
	elements, isNumber := t.Get(4).(int)
	if !isClass || !isKey || !isNumber {
		return s, fmt.Errorf("a storage has an unknown form: %v", id)
	}
	if t.Len() > 5 && t.Get(5) != nil {
		return s, adapters.Errorf(adapters.Unsupported, "storage %s is a view of another storage, which occurs only in files of torch before 0.4", key)
	}
	return storageRef{safetensors.DType(class), key, elements}, nil
}

// storageClass is a class such as torch.FloatStorage.
type storageClass safetensors.DType

// findClass returns a class for tensors and dictionaries. For other classes it returns an error.
func findClass(module, name string) (any, error) {
	switch module + "." + name {
	case "torch._utils._rebuild_tensor_v2":
		return callable(rebuildTensor), nil
	case "torch._utils._rebuild_parameter":
		return callable(rebuildParameter), nil
	case "torch.Size":
		return callable(func(args []any) (any, error) { return types.NewTupleFromSlice(args), nil }), nil
	}
	if dtype, ok := storageTypes()[name]; ok && module == "torch" {
		return storageClass(dtype), nil
	}
	return nil, unsupportedClass(module + "." + name)
}

func unsupportedClass(what string) error {
	return adapters.Errorf(adapters.Unsupported, "its pickle refers to %s, but bridge reads only tensors and dictionaries: "+
		"no code in the file was executed", what).
		WithRemedy("if you trust the file, load it in PyTorch and save only its state_dict with torch.save")
}

// callable is a function that the unpickler may call.
type callable func(args []any) (any, error)

// Call implements types.Callable.
func (f callable) Call(args ...any) (any, error) { return f(args) }

// rebuildTensor implements _rebuild_tensor_v2(storage, offset, size, stride, ...).
func rebuildTensor(args []any) (any, error) {
	if len(args) < 4 {
		return nil, fmt.Errorf("a tensor has %d arguments", len(args))
	}
	s, isStorage := args[0].(*storage)
	offset, isNumber := args[1].(int)
	shape, err := ints(args[2])
	if err != nil || !isStorage || !isNumber {
		return nil, fmt.Errorf("a tensor has an unknown form: %v", args[1:])
	}
	stride, err := ints(args[3])
	if err != nil || len(stride) != len(shape) {
		return nil, fmt.Errorf("a tensor has an unknown form: %v", args[1:])
	}
	return &tensor{s, offset, shape, stride}, nil
}

// rebuildParameter implements _rebuild_parameter(tensor, requires_grad, hooks).
func rebuildParameter(args []any) (any, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("a parameter has no tensor")
	}
	return args[0], nil
}

func ints(v any) ([]int, error) {
	t, ok := v.(*types.Tuple)
	if !ok {
		return nil, fmt.Errorf("%v is not a tuple", v)
	}
	out := make([]int, t.Len())
	for i := range out {
		n, ok := t.Get(i).(int)
		if !ok || n < 0 || n > math.MaxInt32 {
			return nil, fmt.Errorf("%v is not a size", t.Get(i))
		}
		out[i] = n
	}
	return out, nil
}

// maxSpread is the largest number of elements of a tensor that repeats elements of its storage.
const maxSpread = 1 << 20

// view returns the tensor's elements in order. If they are contiguous, the result is a part of the
// mapping.
func (t *tensor) view() (weights.View, error) {
	size := int(t.storage.dtype.Size())
	if slices.Contains(t.shape, 0) {
		return weights.View{DType: t.storage.dtype, Shape: slices.Clone(t.shape)}, nil
	}
	n, last, contiguous := 1, t.offset, true
	for i := len(t.shape) - 1; i >= 0; i-- {
		contiguous = contiguous && (t.shape[i] == 1 || t.stride[i] == n)
		last += (t.shape[i] - 1) * t.stride[i]
		if n *= t.shape[i]; n > max(len(t.storage.data)/size, maxSpread) {
			return weights.View{}, fmt.Errorf("shape %v is too large for a storage of %d bytes", t.shape, len(t.storage.data))
		}
	}
	out := weights.View{DType: t.storage.dtype, Shape: slices.Clone(t.shape)}
	if t.offset < 0 || last < 0 || last >= len(t.storage.data)/size {
		return out, fmt.Errorf("shape %v with strides %v from %d exceeds a storage of %d elements",
			t.shape, t.stride, t.offset, len(t.storage.data)/size)
	}
	if contiguous {
		out.Data = t.storage.data[t.offset*size : (t.offset+n)*size]
		return out, nil
	}
	out.Data = t.gather(n, size)
	return out, nil
}

// gather copies n strided elements.
func (t *tensor) gather(n, size int) []byte {
	data := make([]byte, 0, n*size)
	index := make([]int, len(t.shape))
	for range n {
		at := t.offset
		for i, k := range index {
			at += k * t.stride[i]
		}
		data = append(data, t.storage.data[at*size:(at+1)*size]...)
		for i := len(index) - 1; i >= 0; i-- {
			if index[i]++; index[i] < t.shape[i] {
				break
			}
			index[i] = 0
		}
	}
	return data
}

// dict returns the entries of a dictionary whose keys are strings.
func dict(v any) (map[string]any, bool) {
	out := map[string]any{}
	switch d := v.(type) {
	case *types.Dict:
		for _, e := range *d {
			if key, ok := e.Key.(string); ok {
				out[key] = e.Value
			}
		}
	case *types.OrderedDict:
		for e := d.List.Front(); e != nil; e = e.Next() {
			entry := e.Value.(*types.OrderedDictEntry)
			if key, ok := entry.Key.(string); ok {
				out[key] = entry.Value
			}
		}
	default:
		return nil, false
	}
	return out, true
}
