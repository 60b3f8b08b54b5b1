package layers

import . "github.com/gomlx/gomlx/core/graph"

// Recompute returns f's outputs. The backward pass keeps nothing that f computes: it computes f again
// from the inputs, when the gradients by the outputs are known, with the same random numbers. This
// is gradient checkpointing. f must use p, rng and in, all of the same float type, and no other
// node that has a gradient.
//
// (GoMLX's own checkpoints do not reach operations with written gradients, such as attention's.)
func Recompute(p Params, rng *RNG, in []*Node, f func(p Params, rng *RNG, in []*Node) []*Node) []*Node {
	r := &recomputation{f: f, params: p, in: in, index: map[string]int{}}
	if rng != nil {
		r.state = rng.state
	}
	traced := make([]*Node, len(in))
	for i, x := range in {
		traced[i] = r.trace(i, x)
	}
	p.instead = r.traceWeight
	out := f(p, rng, traced)
	r.cotangents = make([]*Node, len(out))
	for i, y := range out {
		// Outputs are the last nodes of f, so that all their gradients are known before one by an input
		// is asked for.
		out[i] = IdentityWithCustomGradient(y, func(_, cotangent *Node) *Node {
			r.cotangents[i] = cotangent
			return cotangent
		})
	}
	return out
}

// recomputation is one use of [Recompute].
type recomputation struct {
	f          func(p Params, rng *RNG, in []*Node) []*Node
	params     Params
	state      *Node // of random numbers before f; nil without
	in         []*Node
	weights    []*Node // that f used
	index      map[string]int
	traced     []*Node // weights whose gradients are those of the recomputation
	cotangents []*Node // by f's outputs; nil if nothing depends on one
	gradients  []*Node // by inputs and weights, when they are known
}

// trace returns x with the gradient that [recomputation.differentiate] returns for it.
func (r *recomputation) trace(i int, x *Node) *Node {
	return IdentityWithCustomGradient(x, func(_, _ *Node) *Node {
		if r.gradients == nil {
			r.gradients = r.differentiate()
		}
		return r.gradients[i]
	})
}

// traceWeight takes the place of a weight in f.
func (r *recomputation) traceWeight(name string, weight *Node) *Node {
	i, ok := r.index[name]
	if !ok {
		i = len(r.weights)
		r.index[name] = i
		r.weights = append(r.weights, weight)
		r.traced = append(r.traced, r.trace(len(r.in)+i, weight))
	}
	return r.traced[i]
}

// differentiate computes f again and returns the gradients by its inputs and weights.
func (r *recomputation) differentiate() []*Node {
	barred := append([]*Node{}, r.in...)
	for _, c := range r.cotangents {
		if c != nil {
			barred = append(barred, c)
		}
	}
	barred = OptimizationBarriers(barred...) // so that nothing is computed early, or once for both passes
	in, cotangents := barred[:len(r.in)], barred[len(r.in):]
	weights := make([]*Node, len(r.weights))
	for i, w := range r.weights {
		weights[i] = Identity(w)
	}
	p := r.params
	p.instead = func(name string, _ *Node) *Node { return weights[r.index[name]] }
	var rng *RNG
	if r.state != nil {
		rng = NewRNG(r.state)
	}
	var total *Node
	for i, y := range r.f(p, rng, in) {
		if r.cotangents[i] == nil {
			continue
		}
		part := ReduceAllSum(Mul(y, StopGradient(cotangents[0])))
		cotangents = cotangents[1:]
		if total == nil {
			total = part
		} else {
			total = Add(total, part)
		}
	}
	return Gradient(total, append(append([]*Node{}, in...), weights...)...)
}
