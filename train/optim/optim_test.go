package optim_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/train/optim"
)

// reference is testdata/adamw.json, which tools/reference/optim.py writes.
type reference struct {
	Config struct {
		Beta1, Beta2, Epsilon float64
		ClipNorm              float64 `json:"clip_norm"`
		WeightDecay           float64 `json:"weight_decay"`
	}
	Parameters []struct {
		Name  string
		Shape []int
		Value []float32
	}
	Steps []struct {
		Rates     []float64
		Gradients map[string][]float32
		Norm      float32
		Values    map[string][]float32
	}
}

// run is an optimizer of the reference's parameters.
type run struct {
	t         *testing.T
	reference reference
	backend   compute.Backend
	store     *model.Store
	optimizer *optim.AdamW
	norms     *Exec // of gradients
}

func newRun(t *testing.T) *run {
	t.Helper()
	r := &run{t: t, store: model.NewStore()}
	data, err := os.ReadFile("testdata/adamw.json")
	if err == nil {
		err = json.Unmarshal(data, &r.reference)
	}
	r.backend = backends.ForTest(t)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range r.reference.Parameters {
		names = append(names, p.Name)
		r.variable(p.Name, p.Value, p.Shape)
	}
	c := r.reference.Config
	groups := optim.Groups(r.store, names)
	r.optimizer, err = optim.New(r.backend, r.store, groups[:], optim.Config{Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon, WeightDecay: c.WeightDecay, ClipNorm: c.ClipNorm})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *run) variable(name string, value []float32, shape []int) {
	r.t.Helper()
	if _, err := r.store.CreateVariable(layers.VariablePath(name), tensors.FromFlatDataAndDimensions(value, shape...)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) gradients(step int) []*tensors.Tensor {
	var out []*tensors.Tensor
	for _, name := range r.optimizer.Names() {
		shape := r.store.GetVariable(layers.VariablePath(name)).Shape().Dimensions
		out = append(out, tensors.FromFlatDataAndDimensions(r.reference.Steps[step].Gradients[name], shape...))
	}
	return out
}

// apply steps the optimizer with gradients and one learning rate per group.
func (r *run) apply(gradients []*tensors.Tensor, learning []float64) (float32, error) {
	r.t.Helper()
	if r.norms == nil {
		r.norms = MustNewExec(r.backend, func(gradients []*Node) *Node { return optim.Norms(gradients) })
	}
	var inputs []any
	for _, g := range gradients {
		inputs = append(inputs, g)
	}
	return r.optimizer.Step(learning, r.norms.MustCall1(inputs...), gradients)
}

func (r *run) step(step int) {
	r.t.Helper()
	norm, err := r.apply(r.gradients(step), r.reference.Steps[step].Rates)
	if err != nil {
		r.t.Fatal(err)
	}
	near(r.t, "norm", []float32{norm}, []float32{r.reference.Steps[step].Norm}, 1e-6)
}

func (r *run) values() map[string][]float32 {
	r.t.Helper()
	values := map[string][]float32{}
	for _, name := range r.optimizer.Names() {
		values[name] = tensors.MustCopyFlatData[float32](r.store.GetVariable(layers.VariablePath(name)).MustValue())
	}
	return values
}

// state returns what a checkpoint keeps of the optimizer.
func (r *run) state() map[string]*adapters.Tensor {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "optimizer.safetensors")
	if err := r.optimizer.WriteState(path); err != nil {
		r.t.Fatal(err)
	}
	state, _, err := weights.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return state
}

func near(t *testing.T, what string, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d elements, want %d", what, len(got), len(want))
	}
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tol*math.Max(1, math.Abs(float64(want[i])))) {
			t.Errorf("%s, element %d: got %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestStepsEqualPyTorch(t *testing.T) {
	r := newRun(t)
	if got, want := r.optimizer.Names(), []string{"a.weight", "b.weight", "a.bias", "temp"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("names are %v, want %v", got, want)
	}
	clipped := 0
	for i, s := range r.reference.Steps {
		r.step(i)
		for name, got := range r.values() {
			near(t, name, got, s.Values[name], 1e-6)
		}
		if s.Norm > 1 {
			clipped++
		}
	}
	if clipped == 0 || clipped == len(r.reference.Steps) {
		t.Errorf("%d of %d steps were clipped, want some", clipped, len(r.reference.Steps))
	}
}

func TestResumedFromStateIsBitIdentical(t *testing.T) {
	whole, first, second := newRun(t), newRun(t), newRun(t)
	for i := range 8 {
		whole.step(i)
	}
	for i := range 4 {
		first.step(i)
	}
	state := first.state()
	for name, value := range first.values() {
		v := second.store.GetVariable(layers.VariablePath(name))
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(value, v.Shape().Dimensions...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.optimizer.SetState(state); err != nil {
		t.Fatal(err)
	}
	for i := 4; i < 8; i++ {
		second.step(i)
	}
	if got, want := second.values(), whole.values(); !reflect.DeepEqual(got, want) {
		t.Errorf("resumed run differs:\n%v\n%v", got, want)
	}
}

func TestStateOfOtherParametersIsRefused(t *testing.T) {
	r := newRun(t)
	r.step(0)
	state := r.state()
	delete(state, "m.temp")
	state["v.a.bias"] = adapters.NewTensor(adapters.Float32, 6)
	state["m.old"] = adapters.NewTensor(adapters.Float32, 1)
	before := r.values()
	err := r.optimizer.SetState(state)
	if adapters.KindOf(err) != adapters.Corrupt {
		t.Fatalf("got %v, want an error of kind corrupt", err)
	}
	for _, name := range []string{"m.temp", "v.a.bias", "m.old", "3 places"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error %q does not mention %s", err, name)
		}
	}
	if !reflect.DeepEqual(r.values(), before) || r.optimizer.Steps() != 1 {
		t.Error("a refused state changed the optimizer")
	}
}

// Both kinds of update do the same arithmetic. The Go backend rounds each result, as the update in place
// does; XLA does not round a product that it adds to something.
func TestUpdateInPlaceEqualsGraphs(t *testing.T) {
	const n = 8*37 + 5 // vectors, and a rest
	run := func(graphs bool) map[string]*adapters.Tensor {
		r := newRun(t)
		r.optimizer.Close()
		value, gradient := make([]float32, n), make([]float32, n)
		for i := range value {
			value[i], gradient[i] = float32(i%17)/7-1, float32(i%23-11)/90
		}
		gradient[3] = 0
		r.variable("x", value, []int{n})
		var err error
		r.optimizer, err = optim.New(r.backend, r.store, []optim.Group{{Names: []string{"x"}, Decay: true}}, optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8, WeightDecay: 0.1, ClipNorm: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		if !r.optimizer.InPlace() {
			t.Skip("this backend's memory is not that of the process")
		}
		if graphs {
			if err := r.optimizer.UseGraphs(); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			if _, err := r.apply([]*tensors.Tensor{tensors.FromFlatDataAndDimensions(gradient, n)}, []float64{1e-2}); err != nil {
				t.Fatal(err)
			}
		}
		state := r.state()
		state["x"] = adapters.FromFloat32(r.values()["x"], n)
		return state
	}
	got, want := run(false), run(true)
	if backends.Describe(backends.ForTest(t)) == backends.Go && !sameState(got, want) {
		t.Error("the bits differ")
	}
	for _, name := range []string{"x", "m.x", "v.x"} {
		near(t, name, got[name].Float32s(), want[name].Float32s(), 1e-6)
	}
}

// Values are not copied, and a copy in Go's heap of what they were is not mistaken for them.
func TestUpdateInPlaceKeepsTheMemory(t *testing.T) {
	r := newRun(t)
	if !r.optimizer.InPlace() {
		t.Skip("this backend's memory is not that of the process")
	}
	value := func() *tensors.Tensor { return r.store.GetVariable(layers.VariablePath("a.weight")).MustValue() }
	before := value()
	tensors.MustConstFlatData(before, func([]float32) {}) // may leave a copy
	r.step(0)
	if value() != before {
		t.Error("a step replaced a value")
	}
	near(t, "a.weight", r.values()["a.weight"], r.reference.Steps[0].Values["a.weight"], 1e-6)
}

// Large parameters are updated a few at a time, apart from small ones. Here they repeat the
// elements of a small one, and must stay equal to it bit for bit.
func TestLargeParametersStepAsSmallOnes(t *testing.T) {
	t.Run("in graphs", func(t *testing.T) { testLargeParameters(t, (*optim.AdamW).UseGraphs) })
	t.Run("as the backend does", func(t *testing.T) { testLargeParameters(t, func(*optim.AdamW) error { return nil }) })
}

func testLargeParameters(t *testing.T, prepare func(*optim.AdamW) error) {
	r := newRun(t)
	r.optimizer.Close()
	const rows, columns = 513, 520 // more than 1 MB
	small := []float32{0.5, -1, 2, 0.25, -0.125, 3, 1e-3}
	repeat := func(values []float32, shift int) []float32 {
		all := make([]float32, rows*columns)
		for i := range all {
			all[i] = values[(i+shift)%len(values)]
		}
		return all
	}
	shapes := map[string][]int{"small": {len(small), 1}, "first": {rows, columns}, "second": {rows, columns}, "other": {columns, rows}}
	shift := map[string]int{"first": 0, "second": 1, "other": 2}
	values := func(name string, of []float32) []float32 {
		if name == "small" {
			return slices.Clone(of)
		}
		return repeat(of, shift[name])
	}
	names := []string{"first", "small", "second", "other"}
	for _, name := range names {
		r.variable(name, values(name, small), shapes[name])
	}
	var err error
	r.optimizer, err = optim.New(r.backend, r.store, []optim.Group{{Names: names, Decay: true}}, optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8, WeightDecay: 0.1, ClipNorm: 1})
	if err == nil {
		err = prepare(r.optimizer)
	}
	if err != nil {
		t.Fatal(err)
	}
	for step := range 3 {
		gradient := make([]float32, len(small))
		for i := range gradient {
			gradient[i] = float32(i-step) / 7
		}
		var gradients []*tensors.Tensor
		for _, name := range names {
			gradients = append(gradients, tensors.FromFlatDataAndDimensions(values(name, gradient), shapes[name]...))
		}
		if _, err := r.apply(gradients, []float64{1e-2}); err != nil {
			t.Fatal(err)
		}
	}
	got := r.values()
	if slices.Equal(got["small"], small) {
		t.Fatal("three steps changed nothing")
	}
	for name := range shift {
		if !slices.Equal(got[name], repeat(got["small"], shift[name])) {
			t.Errorf("the elements of %q differ from those of the small parameter", name)
		}
	}
}

func TestGradientThatIsNotFiniteChangesNothing(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1)), 1e30} {
		r := newRun(t)
		r.step(0)
		before := r.values()
		stateBefore := r.state()
		gradients := r.gradients(1)
		tensors.MustMutableFlatData(gradients[2], func(flat []float32) { flat[3] = bad })
		_, err := r.apply(gradients, []float64{1, 1})
		if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), `"a.bias"`) {
			t.Errorf("gradient with %v: got error %v, want one that names a.bias", bad, err)
		}
		if !reflect.DeepEqual(r.values(), before) || !sameState(r.state(), stateBefore) {
			t.Errorf("gradient with %v changed parameters or state", bad)
		}
		r.step(1)
		for name, got := range r.values() {
			near(t, name, got, r.reference.Steps[1].Values[name], 1e-6)
		}
	}
}

// sameState compares bit by bit.
func sameState(a, b map[string]*adapters.Tensor) bool {
	return maps.EqualFunc(a, b, func(x, y *adapters.Tensor) bool {
		return x.Describe() == y.Describe() && bytes.Equal(x.Data, y.Data)
	})
}

// 200 steps without a gradient would leave moments of 2⁻²⁰⁰ of what they were.
func TestIdleMomentsStayOrdinaryNumbers(t *testing.T) {
	r := newRun(t)
	r.optimizer.Close()
	var err error
	r.optimizer, err = optim.New(r.backend, r.store, []optim.Group{{Names: r.optimizer.Names()}}, optim.Config{Beta1: 0.5, Beta2: 0.5, Epsilon: 1e-8})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.apply(r.gradients(0), []float64{0}); err != nil {
		t.Fatal(err)
	}
	before := r.values()
	for range 200 {
		zeros := r.gradients(0)
		for i, g := range zeros {
			zeros[i] = tensors.FromShape(g.Shape())
		}
		if _, err := r.apply(zeros, []float64{0}); err != nil {
			t.Fatal(err)
		}
	}
	for key, value := range r.state() {
		if key == "step" {
			continue
		}
		for i, x := range value.Float32s() {
			if size := math.Abs(float64(x)); size < 1.2e-38 || size > 1e-10 {
				t.Errorf("%s, element %d is %v, want a small number that is not denormal", key, i, x)
			}
		}
	}
	if !reflect.DeepEqual(r.values(), before) {
		t.Error("steps at rate 0 changed the parameters")
	}
}

func TestNewRefusesWhatItCannotTrain(t *testing.T) {
	good := optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8}
	for name, c := range map[string]struct {
		groups []optim.Group
		config optim.Config
		want   string
	}{
		"unknown parameter": {[]optim.Group{{Names: []string{"nobody"}}}, good, `no parameter "nobody"`},
		"named twice":       {[]optim.Group{{Names: []string{"x"}}, {Names: []string{"x"}}}, good, "two groups"},
		"integers":          {[]optim.Group{{Names: []string{"ids"}}}, good, "want float32"},
		"nothing":           {[]optim.Group{{}}, good, "no parameter"},
		"beta of 1":         {[]optim.Group{{Names: []string{"x"}}}, optim.Config{Beta1: 1, Beta2: 0.9, Epsilon: 1e-8}, "betas"},
	} {
		r := newRun(t)
		r.optimizer.Close()
		r.variable("x", []float32{1}, []int{1})
		if _, err := r.store.CreateVariable("/ids", tensors.MustFromAnyValue([]int32{1})); err != nil {
			t.Fatal(err)
		}
		if _, err := optim.New(r.backend, r.store, c.groups, c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestOneOptimizerAtATimeAndCloseCleansUp(t *testing.T) {
	r := newRun(t)
	groups := []optim.Group{{Names: []string{"temp"}}}
	config := optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8}
	if _, err := optim.New(r.backend, r.store, groups, config); err == nil {
		t.Fatal("a second optimizer of the same parameters was accepted")
	}
	r.step(0) // the refused one left the first whole
	r.optimizer.Close()
	for v := range r.store.IterVariables() {
		if strings.HasPrefix(v.Path(), optim.Scope) {
			t.Errorf("%s is left in the store", v.Path())
		}
	}
	again, err := optim.New(r.backend, r.store, groups, config)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestRateRisesThenFallsAlongACosine(t *testing.T) {
	const peak = 2
	s := optim.Schedule{Steps: 14, Warmup: 4, MinFactor: 0.1}
	for step, want := range map[int]float64{1: 0.5, 2: 1, 4: 2, 9: 1.1, 14: 0.2, 20: 0.2} {
		if got := s.Rate(peak, step); math.Abs(got-want) > 1e-12 {
			t.Errorf("rate at step %d is %v, want %v", step, got, want)
		}
	}
	ended := s
	ended.Early = &optim.Early{After: 9, Steps: 4}
	for step, want := range map[int]float64{4: 2, 9: 1.1, 11: (1.1 + 0.2) / 2, 13: 0.2, 14: 0.2} {
		if got := ended.Rate(2, step); math.Abs(got-want) > 1e-12 {
			t.Errorf("ended early: step %d: got %v, want %v", step, got, want)
		}
	}
	if got := ended.Length(); got != 13 {
		t.Errorf("ended early: got %d steps, want 13", got)
	}
	flat := optim.Schedule{Steps: 0, Warmup: 0, MinFactor: 1}
	if got := flat.Rate(3, 1); got != 3 {
		t.Errorf("constant rate is %v, want 3", got)
	}
	for step := 2; step <= 14; step++ {
		if up := s.Rate(peak, step) > s.Rate(peak, step-1); up != (step <= 4) {
			t.Errorf("step %d: rate %v after %v", step, s.Rate(peak, step), s.Rate(peak, step-1))
		}
	}
}

// BenchmarkStep is an update of 2 million parameters whose gradient is zero, with
// moments of ordinary size and denormal ones.
func BenchmarkStep(b *testing.B) {
	for name, size := range map[string]float32{"ordinary": 1e-3, "denormal": 1e-40} {
		b.Run(name, func(b *testing.B) {
			backend := backends.ForTest(b)
			const n = 1 << 21
			store := model.NewStore()
			if _, err := store.CreateVariable("/x", tensors.FromShape(shapes.Make(dtypes.Float32, n))); err != nil {
				b.Fatal(err)
			}
			o, err := optim.New(backend, store, []optim.Group{{Names: []string{"x"}}}, optim.Config{Beta1: 0.999, Beta2: 0.999, Epsilon: 1e-8, ClipNorm: 1})
			if err != nil {
				b.Fatal(err)
			}
			moments := adapters.NewTensor(adapters.Float32, n)
			for i := range moments.Float32s() {
				moments.Float32s()[i] = size
			}
			if err := o.SetState(map[string]*adapters.Tensor{"step": adapters.FromInt32([]int32{8}, 1), "m.x": moments, "v.x": moments}); err != nil {
				b.Fatal(err)
			}
			norms := tensors.FromFlatDataAndDimensions([]float32{0, 0}, 2)
			for b.Loop() {
				if _, err := o.Step([]float64{1e-3}, norms, []*tensors.Tensor{tensors.FromShape(shapes.Make(dtypes.Float32, n))}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
