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
)

// TensorSpec describes a tensor that a model needs.
type TensorSpec struct {
	Name     string   // of the variable, and of the tensor in the file
	Shape    []int    // exactly this one
	Optional bool     // the model works without it
	Aliases  []string // other names that the tensor may have in the file; the first one found is used
}

// Options steer [Folder.Load].
type Options struct {
	// DType of the variables: Float32 (the zero value means it) or BFloat16.
	DType adapters.DType
	// Ignore reports tensors that the file may hold and the model does not need; nil
	// means none.
	Ignore func(name string) bool
	// Progress, if not nil, is called with the bytes read so far and in all.
	Progress func(done, total int64)
}

// tensorMatch is a spec with the tensor that satisfies it.
type tensorMatch struct {
	spec TensorSpec
	view View
}

// Load makes a store with a non-trainable variable "/"+Name for every spec whose tensor
// the folder holds. Before it copies anything it checks all tensors. One error reports
// all that are missing, have another shape or no float type, or are not part of the
// model.
func (f *Folder) Load(ctx context.Context, backend compute.Backend, specs []TensorSpec, o Options) (*model.Store, error) {
	dtype, err := variableType(o.DType)
	if err != nil {
		return nil, err
	}
	matched, err := f.match(specs, o.Ignore)
	if err != nil {
		return nil, err
	}
	var done, total int64
	for _, m := range matched {
		total += int64(len(m.view.Data))
	}
	store := model.NewStore()
	for _, m := range matched {
		if err := ctx.Err(); err != nil {
			store.Finalize()
			return nil, adapters.Errorf(adapters.Canceled, "loading of %s: %w", f.dir, err)
		}
		if err := addVariable(store, backend, m, dtype); err != nil {
			store.Finalize()
			return nil, adapters.Errorf(adapters.Exhausted, "%s: tensor %q %s cannot be loaded: %w", f.dir, m.spec.Name, m.view.Describe(), err)
		}
		m.view.Release()
		done += int64(len(m.view.Data))
		if o.Progress != nil {
			o.Progress(done, total)
		}
	}
	return store, nil
}

// Check checks all tensors as [Folder.Load] does, without reading their data.
func (f *Folder) Check(specs []TensorSpec, ignore func(name string) bool) error {
	_, err := f.match(specs, ignore)
	return err
}

// match finds the tensor of every spec, or returns one error for all that do not fit.
func (f *Folder) match(specs []TensorSpec, ignore func(string) bool) ([]tensorMatch, error) {
	var problems []string
	var matched []tensorMatch
	used := make(map[string]bool, len(specs))
	for _, s := range specs {
		name, view, ok := f.Find(s)
		if !ok {
			if !s.Optional {
				problems = append(problems, fmt.Sprintf("%s is missing, want %s", s.Name, adapters.ShapeString(s.Shape)))
			}
			continue
		}
		used[name] = true
		switch {
		case !slices.Equal(view.Shape, s.Shape):
			problems = append(problems, fmt.Sprintf("%s is %s, want %s", name, view.Describe(), adapters.ShapeString(s.Shape)))
		case !isFloat(view.DType):
			problems = append(problems, fmt.Sprintf("%s is %s, want F32, F16 or BF16", name, view.Describe()))
		default:
			matched = append(matched, tensorMatch{s, view})
		}
	}
	for _, name := range f.Names() {
		if !used[name] && (ignore == nil || !ignore(name)) {
			problems = append(problems, fmt.Sprintf("%s %s is not part of the model", name, f.tensors[name].Describe()))
		}
	}
	if len(problems) > 0 {
		return nil, f.mismatch(problems)
	}
	return matched, nil
}

// Find returns the tensor of a spec, by its name or else by the first of its aliases that
// the folder holds, and the name under which it was found. It does not check the shape.
func (f *Folder) Find(s TensorSpec) (string, View, bool) {
	for _, name := range append([]string{s.Name}, s.Aliases...) {
		if view, ok := f.tensors[name]; ok {
			return name, view, true
		}
	}
	return "", View{}, false
}

// mismatch returns an error that names the first few problems and counts the rest.
func (f *Folder) mismatch(problems []string) error {
	const shown = 5
	text := strings.Join(problems[:min(shown, len(problems))], "; ")
	if more := len(problems) - shown; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return adapters.Errorf(adapters.Corrupt, "%s: the weights do not fit config.json (model_type %q) in %d places: %s",
		f.dir, f.modelType, len(problems), text).
		WithRemedy("config.json and the weights must come from one model; fetch the folder again")
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

func addVariable(store *model.Store, backend compute.Backend, m tensorMatch, dtype dtypes.DType) error {
	data, err := m.view.dataAs(dtype)
	if err != nil {
		return err
	}
	t, err := tensors.FromRaw(backend, 0, shapes.Make(dtype, m.view.Shape...), data)
	if err != nil {
		return err
	}
	v, err := store.CreateVariable("/"+m.spec.Name, t)
	if err != nil {
		return err
	}
	v.SetTrainable(false)
	return nil
}

// dataAs returns the data as dtype: the mapping itself if the file holds that type.
func (v View) dataAs(dtype dtypes.DType) ([]byte, error) {
	same := v.DType == safetensors.F32 && dtype == dtypes.Float32 || v.DType == safetensors.BF16 && dtype == dtypes.BFloat16
	if same && aligned(v.Data, dtype.Size()) {
		return v.Data, nil
	}
	return v.convert(dtype)
}

// convert returns the elements as dtype, a piece at a time: there is never more
// than the result and a little.
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
