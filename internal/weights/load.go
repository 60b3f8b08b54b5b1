package weights

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hostmemory"
)

// TensorSpec describes a tensor that a model needs.
type TensorSpec struct {
	Name     string   // name of the variable, and of the tensor in the file
	Shape    []int    // exact shape
	Optional bool     // the model works without it
	Aliases  []string // other names of the tensor in the file; the first one that exists is used
	Linear   bool     // the weight [out, in] of a linear map, which nothing else uses
}

// Options are the options of [Folder.Load].
type Options struct {
	// DType is the type of the variables: Float32 (the default) or BFloat16.
	DType adapters.DType
	// Ignore returns true for tensors that the file may have but the model does not need. If it
	// is nil, there are no such tensors.
	Ignore func(name string) bool
	// TransposedSuffix, if not empty, says that variables of specs that are Linear are transposed. It
	// is added to their names.
	TransposedSuffix string
	// Progress, if not nil, is called with the number of bytes read so far, and the total.
	Progress func(done, total int64)
}

// tensorMatch is a spec with the tensor that satisfies it.
type tensorMatch struct {
	spec TensorSpec
	view View
}

// Load returns a store with a non-trainable variable "/"+Name for every spec whose tensor is in the
// folder. First it checks all tensors. One error lists all tensors that are missing, have another
// shape, are not of a float type, or do not belong to the model.
func (f *Folder) Load(ctx context.Context, backend compute.Backend, specs []TensorSpec, o Options) (*model.Store, error) {
	dtype, err := variableType(o.DType)
	if err != nil {
		return nil, err
	}
	matched, err := f.match(specs, o.Ignore)
	if err != nil {
		return nil, err
	}
	if f.random != nil {
		return f.random.load(ctx, backend, matched, dtype, o.Progress)
	}
	var done, total int64
	for _, m := range matched {
		total += int64(len(m.view.Data))
	}
	store := model.NewStore()
	for _, m := range matched {
		if err := ctx.Err(); err != nil {
			store.Finalize()
			return nil, adapters.Errorf(adapters.Canceled, "load %s: %w", f.dir, err)
		}
		if err := addVariable(store, backend, m, dtype, o.TransposedSuffix); err != nil {
			store.Finalize()
			return nil, adapters.Errorf(adapters.Exhausted, "%s: tensor %q %s cannot be loaded: %w", f.dir, m.spec.Name, m.view.Describe(), err)
		}
		m.view.Release()
		done += int64(len(m.view.Data))
		if o.Progress != nil {
			o.Progress(done, total)
		}
	}
	if total >= settleFrom {
		hostmemory.Settle()
	}
	return store, nil
}

// settleFrom is the size of files, in bytes, from which [Folder.Load] returns the memory of the
// conversion to the system. For smaller ones it is not worth a garbage collection.
const settleFrom = 64 << 20

// Check makes the checks of [Folder.Load] without reading the data of tensors.
func (f *Folder) Check(specs []TensorSpec, ignore func(name string) bool) error {
	_, err := f.match(specs, ignore)
	return err
}

// match finds the tensor of every spec. One error lists all problems.
func (f *Folder) match(specs []TensorSpec, ignore func(string) bool) ([]tensorMatch, error) {
	if f.random != nil {
		return matchRandom(specs), nil
	}
	var problems []string
	var matched []tensorMatch
	used := make(map[string]bool, len(specs))
	for _, s := range specs {
		name, view, ok := f.Find(s)
		if !ok {
			if !s.Optional {
				problems = append(problems, fmt.Sprintf("%s%s is missing, want %s", f.prefix, s.Name, adapters.ShapeString(s.Shape)))
			}
			continue
		}
		used[name] = true
		switch {
		case !slices.Equal(view.Shape, s.Shape):
			problems = append(problems, fmt.Sprintf("%s%s is %s, want %s", f.prefix, name, view.Describe(), adapters.ShapeString(s.Shape)))
		case !isFloat(view.DType):
			problems = append(problems, fmt.Sprintf("%s%s is %s, want F32, F16 or BF16", f.prefix, name, view.Describe()))
		default:
			matched = append(matched, tensorMatch{s, view})
		}
	}
	for _, name := range f.Names() {
		if !used[name] && (ignore == nil || !ignore(name)) {
			problems = append(problems, fmt.Sprintf("%s%s %s is not part of the model", f.prefix, name, f.tensors[name].Describe()))
		}
	}
	if len(problems) > 0 {
		return nil, f.mismatch(problems)
	}
	return matched, nil
}

// Find returns the tensor of a spec and its name in the folder: the spec's name, or else the first
// of its aliases that exists. It does not check the shape.
func (f *Folder) Find(s TensorSpec) (string, View, bool) {
	for _, name := range append([]string{s.Name}, s.Aliases...) {
		if view, ok := f.tensors[name]; ok {
			return name, view, true
		}
	}
	return "", View{}, false
}

// mismatch returns an error with the first few problems and the number of the others.
func (f *Folder) mismatch(problems []string) error {
	const shown = 5
	text := strings.Join(problems[:min(shown, len(problems))], "; ")
	if more := len(problems) - shown; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return adapters.Errorf(adapters.Corrupt, "%s: the weights do not fit config.json (model_type %q) in %d places: %s",
		f.dir, f.modelType, len(problems), text).
		WithRemedy("config.json and the weights must be of the same model; download the folder again")
}

func variableType(d adapters.DType) (dtypes.DType, error) {
	switch d {
	case adapters.InvalidDType, adapters.Float32:
		return dtypes.Float32, nil
	case adapters.BFloat16:
		return dtypes.BFloat16, nil
	}
	return dtypes.InvalidDType, adapters.Errorf(adapters.Unsupported, "weights as %s, want float32 or bfloat16", d)
}

func addVariable(store *model.Store, backend compute.Backend, m tensorMatch, dtype dtypes.DType, transposedSuffix string) error {
	data, err := m.view.dataAs(dtype)
	if err != nil {
		return err
	}
	name, shape := m.spec.Name, m.view.Shape
	if m.spec.Linear && transposedSuffix != "" {
		data = transposed(data, dtype.Size(), shape[0], shape[1])
		name, shape = name+transposedSuffix, []int{shape[1], shape[0]}
	}
	t, err := tensors.FromRaw(backend, 0, shapes.Make(dtype, shape...), data)
	if err != nil {
		return err
	}
	v, err := store.CreateVariable("/"+name, t)
	if err != nil {
		return err
	}
	v.SetTrainable(false)
	return nil
}

// transposed returns a matrix of rows × columns elements as columns × rows. It goes block by block, whose
// rows stay in the processor's cache.
func transposed(data []byte, size, rows, columns int) []byte {
	const block = 32
	out := make([]byte, len(data))
	for row := 0; row < rows; row += block {
		for column := 0; column < columns; column += block {
			for r := row; r < min(row+block, rows); r++ {
				for c := column; c < min(column+block, columns); c++ {
					to, from := out[(c*rows+r)*size:], data[(r*columns+c)*size:]
					if size == 4 { // faster than copy
						binary.LittleEndian.PutUint32(to, binary.LittleEndian.Uint32(from))
					} else {
						copy(to[:size], from)
					}
				}
			}
		}
	}
	return out
}

// dataAs returns the data as dtype. If the file has that type, the result is the mapping itself.
func (v View) dataAs(dtype dtypes.DType) ([]byte, error) {
	same := v.DType == safetensors.F32 && dtype == dtypes.Float32 || v.DType == safetensors.BF16 && dtype == dtypes.BFloat16
	if same && aligned(v.Data, dtype.Size()) {
		return v.Data, nil
	}
	return v.convert(dtype)
}

// convert returns the elements as dtype. It converts them in pieces, so it needs little memory in
// addition to the result.
func (v View) convert(dtype dtypes.DType) ([]byte, error) {
	const piece = 1 << 16
	in, out := int(v.DType.Size()), dtype.Size()
	data := make([]byte, 0, len(v.Data)/in*out)
	for part := range slices.Chunk(v.Data, piece*in) {
		values, err := View{DType: v.DType, Shape: []int{len(part) / in}, Data: part}.Float32s()
		if err != nil {
			return nil, err
		}
		for _, x := range values {
			if dtype == dtypes.Float32 {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
			} else {
				data = binary.LittleEndian.AppendUint16(data, bfloat16.FromFloat32(x).Bits())
			}
		}
	}
	return data, nil
}
