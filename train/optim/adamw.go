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
	steps      int // done
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
	return o, nil
}

// collect finds the groups' variables.
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
	v, err := o.store.CreateVariable(path, tensors.FromShape(like.Shape()))
	if err != nil {
		return nil, adapters.Errorf(adapters.Internal, "optimizer: %w", err)
	}
	return v.SetTrainable(false), nil
}

// Close removes the moments from the store.
func (o *AdamW) Close() {
	for _, p := range o.parameters {
		for _, v := range []*model.Variable{p.m, p.v} {
			if v != nil {
				_ = o.store.DeleteVariable(v.Path()) // an error means that it is deleted already
			}
		}
	}
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

// Apply adds a step to the graph of gradients, which are in the order of [AdamW.Names],
// and rates, an input that takes [AdamW.Rates]. The graph must belong to a model.Exec of
// the optimizer's store, which stores the new values. Apply returns the gradients' norms
// before clipping, float32[1+P] with the global one first, for [AdamW.Commit].
func (o *AdamW) Apply(gradients []*Node, rates *Node) (norms *Node) {
	g := rates.Graph()
	parameters := make([]Slot, len(o.parameters))
	for i, p := range o.parameters {
		parameters[i] = Slot{p.value.NodeValue(g), gradients[i], p.m.NodeValue(g), p.v.NodeValue(g), p.group}
	}
	norms = o.config.Update(parameters, rates)
	for i, p := range o.parameters {
		p.value.SetNodeValue(parameters[i].Value)
		p.m.SetNodeValue(parameters[i].M)
		p.v.SetNodeValue(parameters[i].V)
	}
	return norms
}

// Rates returns the input of [AdamW.Apply] for the next step. learning has a learning rate
// for each group.
func (o *AdamW) Rates(learning []float64) (*tensors.Tensor, error) {
	if len(learning) != len(o.groups) {
		return nil, adapters.Errorf(adapters.Invalid, "optimizer: %d learning rates for %d groups", len(learning), len(o.groups))
	}
	decays := make([]float64, len(o.groups))
	for i, g := range o.groups {
		if g.Decay {
			decays[i] = o.config.WeightDecay
		}
	}
	values := o.config.Rates(learning, decays, o.steps+1)
	return tensors.FromFlatDataAndDimensions(values, len(values)), nil
}

// Commit ends a step: it takes the norms that the graph of [AdamW.Apply] returned, counts
// the step and returns the global norm before clipping. If that norm is not finite, nothing
// was applied and the step does not count: the error names the first parameter to blame.
func (o *AdamW) Commit(norms *tensors.Tensor) (float32, error) {
	values, err := tensors.CopyFlatData[float32](norms)
	if err != nil {
		return 0, adapters.Errorf(adapters.Internal, "optimizer: %w", err)
	}
	if len(values) != 1+len(o.parameters) {
		return 0, adapters.Errorf(adapters.Internal, "optimizer: %d gradient norms for %d parameters", len(values)-1, len(o.parameters))
	}
	global, each := values[0], values[1:]
	if finite(global) {
		o.steps++
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
