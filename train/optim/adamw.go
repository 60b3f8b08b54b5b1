package optim

import (
	"math"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/layers"
)

// Scope is the part of the store that holds the moments. No parameter's name begins with
// it.
const Scope = "/optim"

// AdamW optimizes named variables of one store.
type AdamW struct {
	config     Config
	backend    compute.Backend
	store      *model.Store
	groups     []Group
	parameters []parameter
	inPlace    bool     // the update changes values and moments where they are
	updates    []update // otherwise, the graphs of the update
	steps      int      // done
	torn       error    // a failed update, after which the parameters are not those of any step
}

// parameter is a trained variable with its moments.
type parameter struct {
	name        string
	group       int
	value, m, v *model.Variable
}

// New returns an optimizer whose moments are zero. The store must hold every named
// variable as float32, and each may be in one group only.
func New(backend compute.Backend, store *model.Store, groups []Group, config Config) (*AdamW, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	o := &AdamW{config: config, backend: backend, store: store, groups: slices.Clone(groups)}
	if err := o.collect(); err != nil {
		return nil, err
	}
	for i := range o.parameters {
		if err := o.addMoments(&o.parameters[i]); err != nil {
			o.Close()
			return nil, err
		}
	}
	if o.inPlace = canUpdateInPlace(backend); o.inPlace {
		return o, nil
	}
	if err := o.plan(); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// collect finds the groups' variables, and moves them to the device.
func (o *AdamW) collect() error {
	seen := map[string]bool{}
	for g, group := range o.groups {
		for _, name := range group.Names {
			v := o.store.GetVariable(layers.VariablePath(name))
			switch {
			case v == nil:
				return adapters.Errorf(adapters.NotFound, "optimizer: the store has no parameter %q", name)
			case v.DType() != dtypes.Float32:
				return adapters.Errorf(adapters.Invalid, "optimizer: parameter %q is %s, want float32", name, v.DType())
			case seen[name]:
				return adapters.Errorf(adapters.Invalid, "optimizer: parameter %q is in two groups", name)
			}
			if err := toDevice(o.backend, v); err != nil {
				return adapters.Errorf(adapters.KindOf(err), "optimizer: parameter %q: %w", name, err)
			}
			seen[name] = true
			o.parameters = append(o.parameters, parameter{name: name, group: g, value: v})
		}
	}
	if len(o.parameters) == 0 {
		return adapters.Errorf(adapters.Invalid, "optimizer: the groups name no parameter")
	}
	return nil
}

func (o *AdamW) addMoments(p *parameter) (err error) {
	if p.m, err = o.zeros(Scope+"/m/"+p.name, p.value); err != nil {
		return err
	}
	p.v, err = o.zeros(Scope+"/v/"+p.name, p.value)
	return err
}

func (o *AdamW) zeros(path string, like *model.Variable) (*model.Variable, error) {
	if o.store.GetVariable(path) != nil {
		return nil, adapters.Errorf(adapters.Invalid, "optimizer: the store's parameters have another optimizer, which must be closed first")
	}
	value := tensors.FromShape(like.Shape())
	if err := value.ToDevice(o.backend, 0); err != nil {
		return nil, adapters.Errorf(adapters.Exhausted, "optimizer: moments of %q: %w", path, err)
	}
	v, err := o.store.CreateVariable(path, value)
	if err != nil {
		return nil, adapters.Errorf(adapters.Internal, "optimizer: %w", err)
	}
	return v.SetTrainable(false), nil
}

// Close removes the moments from the store, and frees the graphs.
func (o *AdamW) Close() {
	for _, u := range o.updates {
		u.exec.Finalize() // again if updates share it, which does nothing
	}
	for _, p := range o.parameters {
		for _, v := range []*model.Variable{p.m, p.v} {
			if v != nil {
				_ = o.store.DeleteVariable(v.Path()) // an error means that it is deleted already
			}
		}
	}
}

// toDevice moves a variable to the device, so that no copy is left in Go's heap.
func toDevice(backend compute.Backend, v *model.Variable) error {
	value, err := v.Value()
	if err != nil {
		return err
	}
	return value.ToDevice(backend, 0)
}

// Names returns the parameters in the order of gradients: group after group, as the
// groups list them.
func (o *AdamW) Names() []string {
	names := make([]string, len(o.parameters))
	for i, p := range o.parameters {
		names[i] = p.name
	}
	return names
}

// Steps returns the number of steps done.
func (o *AdamW) Steps() int { return o.steps }

// Parameters returns the parameters' values in graph g, in the order of [AdamW.Names],
// for the caller to differentiate a loss by.
func (o *AdamW) Parameters(g *Graph) []*Node {
	nodes := make([]*Node, len(o.parameters))
	for i, p := range o.parameters {
		nodes[i] = p.value.NodeValue(g)
	}
	return nodes
}

// rates returns [Config.Rates] for the next step. learning has a learning rate for each group.
func (o *AdamW) rates(learning []float64) ([]float32, error) {
	if len(learning) != len(o.groups) {
		return nil, adapters.Errorf(adapters.Invalid, "optimizer: %d learning rates for %d groups", len(learning), len(o.groups))
	}
	decays := make([]float64, len(o.groups))
	for i, g := range o.groups {
		if g.Decay {
			decays[i] = o.config.WeightDecay
		}
	}
	return o.config.Rates(learning, decays, o.steps+1), nil
}

// checkNorms returns the global norm. It returns an error, which names the first parameter
// to blame, if that norm is not finite.
func (o *AdamW) checkNorms(norms *tensors.Tensor) (float32, error) {
	values, err := tensors.CopyFlatData[float32](norms)
	if err != nil {
		return 0, adapters.Errorf(adapters.Internal, "optimizer: %w", err)
	}
	if len(values) != 1+len(o.parameters) {
		return 0, adapters.Errorf(adapters.Internal, "optimizer: %d gradient norms for %d parameters", len(values)-1, len(o.parameters))
	}
	global, each := values[0], values[1:]
	if finite(global) {
		return global, nil
	}
	blame := slices.IndexFunc(each, func(n float32) bool { return !finite(n) })
	if blame < 0 { // each is finite, their squares' sum is not
		blame = slices.Index(each, slices.Max(each))
	}
	return global, adapters.Errorf(adapters.Invalid, "step %d: the gradient of %q has norm %v; nothing was applied",
		o.steps+1, o.parameters[blame].name, each[blame]).
		WithRemedy("lower the learning rate or clip harder; if it is the first step, look at the loss and at the data")
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }
