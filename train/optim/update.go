package optim

import (
	"fmt"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
)

const (
	// smallBytes is the size below which a parameter is updated together with all other small
	// ones: an execution costs more than its arithmetic.
	smallBytes = 1 << 20
	// togetherBytes limits the size of the large parameters that are updated together. While an
	// execution runs, the old and the new values and moments exist at the same time.
	togetherBytes = 64 << 20
)

// update is a set of parameters that one execution steps. Updates of the same groups share
// their graphs, which are compiled for each list of shapes.
type update struct {
	parameters []int // indices
	exec       *Exec // norms, rates, and four tensors of each parameter → three of each
}

// plan divides the parameters into updates.
func (o *AdamW) plan() error {
	execs := map[string]*Exec{}
	for _, parameters := range o.divide() {
		groups := make([]int, len(parameters))
		for i, p := range parameters {
			groups[i] = o.parameters[p].group
		}
		key := fmt.Sprint(groups)
		if execs[key] == nil {
			exec, err := NewExec(o.backend, func(in []*Node) []*Node { return o.build(groups, in) })
			if err != nil {
				return adapters.Errorf(adapters.Internal, "optimizer: %w", err)
			}
			execs[key] = exec.SetMaxCache(-1)
		}
		o.updates = append(o.updates, update{parameters, execs[key]})
	}
	return nil
}

// divide returns the parameters of each update: all small ones, and large ones of one shape
// and group.
func (o *AdamW) divide() [][]int {
	type kind struct {
		shape string
		group int
	}
	var parts [][]int
	place := map[kind]int{} // of the part that may grow
	for i, p := range o.parameters {
		shape := p.value.Shape()
		bytes := int(shape.ByteSize())
		k, most := kind{shape.String(), p.group}, max(1, togetherBytes/max(1, bytes))
		if bytes < smallBytes {
			k, most = kind{}, len(o.parameters)
		}
		at, ok := place[k]
		if !ok || len(parts[at]) == most {
			at = len(parts)
			place[k], parts = at, append(parts, nil)
		}
		parts[at] = append(parts[at], i)
	}
	return parts
}

// build builds the graph of an update.
func (o *AdamW) build(groups []int, in []*Node) []*Node {
	norms, rates, rest := in[0], in[1], in[2:]
	parameters := make([]slot, len(groups))
	for i := range parameters {
		parameters[i] = slot{rest[4*i], rest[4*i+1], rest[4*i+2], rest[4*i+3]}
	}
	o.config.update(parameters, groups, norms, rates)
	var out []*Node
	for _, p := range parameters {
		out = append(out, p.value, p.m, p.v)
	}
	return out
}

// Compile compiles the graphs that [AdamW.Step] runs, unless they are compiled already. Updates in place
// have none.
func (o *AdamW) Compile() error {
	dtype := o.parameters[0].value.DType()
	for _, u := range o.updates {
		in := []shapes.Shape{shapes.Make(dtype, 1+len(o.parameters)), shapes.Make(dtype, 2*len(o.groups)+1)}
		for _, i := range u.parameters {
			shape := o.parameters[i].value.Shape()
			in = append(in, shape, shape, shape, shape)
		}
		if _, err := u.exec.Compile(in...); err != nil {
			return fmt.Errorf("update of the optimizer: %w", err)
		}
	}
	return nil
}

// Step steps the parameters with gradients, which are in the order of [AdamW.Names], and
// their norms, which are of [Norms] in the graph that computed them. learning has a learning
// rate for each group. Step frees the gradients, each as soon as it is applied. It returns the
// global norm before clipping.
//
// If that norm is not finite, nothing is applied and the step does not count: the error names
// the first parameter to blame.
func (o *AdamW) Step(learning []float64, norms *tensors.Tensor, gradients []*tensors.Tensor) (float32, error) {
	defer func() {
		for _, g := range gradients {
			g.FinalizeAll()
		}
	}()
	if len(gradients) != len(o.parameters) {
		return 0, adapters.Errorf(adapters.Internal, "optimizer: %d gradients for %d parameters", len(gradients), len(o.parameters))
	}
	if o.torn != nil {
		return 0, o.torn
	}
	global, err := o.checkNorms(norms)
	if err != nil {
		return global, err
	}
	rates, err := o.rates(learning)
	if err != nil {
		return global, err
	}
	if o.inPlace {
		err = o.updateInPlace(global, rates, gradients)
	} else {
		err = o.updateInGraphs(norms, rates, gradients)
	}
	if err != nil {
		o.torn = adapters.Errorf(adapters.KindOf(err), "step %d: update of the optimizer: %w", o.steps+1, err).
			WithRemedy("resume the run from its newest checkpoint")
		return global, o.torn
	}
	o.steps++
	return global, nil
}

// updateInGraphs steps all parameters, and frees each gradient when it is applied.
func (o *AdamW) updateInGraphs(norms *tensors.Tensor, rates []float32, gradients []*tensors.Tensor) error {
	input := tensors.FromFlatDataAndDimensions(rates, len(rates))
	defer input.FinalizeAll()
	for _, u := range o.updates {
		if err := o.run(u, norms, input, gradients); err != nil {
			return err
		}
	}
	return nil
}

// run replaces the values and the moments of an update's parameters.
func (o *AdamW) run(u update, norms, rates *tensors.Tensor, gradients []*tensors.Tensor) error {
	args := []any{norms, rates}
	for _, i := range u.parameters {
		p := o.parameters[i]
		old := []*tensors.Tensor{nil, gradients[i], nil, nil}
		for k, v := range map[int]*model.Variable{0: p.value, 2: p.m, 3: p.v} {
			var err error
			if old[k], err = v.Value(); err != nil {
				return err
			}
		}
		for _, t := range old {
			donated, err := DonateTensorBuffer(t, o.backend, 0)
			if err != nil {
				return err
			}
			args = append(args, donated)
		}
	}
	out, err := u.exec.Call(args...)
	if err != nil {
		return err
	}
	for n, i := range u.parameters {
		p := o.parameters[i]
		for k, v := range []*model.Variable{p.value, p.m, p.v} {
			if err := v.SetValue(out[3*n+k]); err != nil {
				return err
			}
		}
	}
	return nil
}
