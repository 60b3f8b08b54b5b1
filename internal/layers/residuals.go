package layers

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Residuals are values of a forward pass that its backward pass needs. Two graphs share them: the first
// computes the forward pass and returns them ([Residuals.Nodes]), the second gets them as inputs and
// computes the backward pass ([Residuals.Gradient]). Both build the same forward pass, which calls
// [Residuals.Keep] in the same order. In the second graph, nothing that only leads to a kept value is
// computed. What leads from kept values to others is computed again: norms, softmaxes and activations,
// if the products are kept.
//
// A nil Residuals keeps nothing.
type Residuals struct {
	kept   []*Node // of the forward pass
	given  []*Node // of the backward pass; nil in the first graph
	replay bool
	terms  []*Node // scalars whose gradients are the gradients by what is kept
}

// RecordResiduals returns Residuals for the graph of the forward pass.
func RecordResiduals() *Residuals { return &Residuals{} }

// ReplayResiduals returns Residuals for the graph of the backward pass. given are nodes with the values
// of the first graph's [Residuals.Nodes].
func ReplayResiduals(given []*Node) *Residuals { return &Residuals{given: given, replay: true} }

// Nodes returns what the forward pass kept.
func (r *Residuals) Nodes() []*Node {
	if r == nil {
		return nil
	}
	return r.kept
}

// Keep keeps x, of any type. It returns the node to use in place of x.
func (r *Residuals) Keep(x *Node) *Node {
	if r == nil {
		return x
	}
	r.kept = append(r.kept, x)
	if !r.replay {
		return x
	}
	given := r.next(x)
	if !x.DType().IsFloat() {
		return given
	}
	// The gradient by the given value becomes that by x. Differentiation goes from the last node to the
	// first, so the first is known when it asks for the second.
	cotangent := ZerosLike(x)
	traced := IdentityWithCustomGradient(x, func(_, _ *Node) *Node { return cotangent })
	r.terms = append(r.terms, ConvertDType(ReduceAllSum(traced), dtypes.Float32))
	return IdentityWithCustomGradient(given, func(_, v *Node) *Node {
		cotangent = v
		return v
	})
}

// next returns the node that is given for the kept value x.
func (r *Residuals) next(x *Node) *Node {
	n := len(r.kept)
	if n > len(r.given) {
		panic(fmt.Errorf("the backward pass keeps more than the %d values that it is given", len(r.given)))
	}
	given := r.given[n-1]
	if !given.Shape().Equal(x.Shape()) {
		panic(fmt.Errorf("kept value %d is given as %s, the forward pass has %s", n-1, given.Shape(), x.Shape()))
	}
	return given
}

// Gradient returns the gradients of a scalar by nodes. Its forward pass, if it has Residuals, must be
// complete. The value of the scalar is not computed, unless the graph returns it.
func (r *Residuals) Gradient(scalar *Node, nodes ...*Node) []*Node {
	if r == nil {
		return Gradient(scalar, nodes...)
	}
	if len(r.kept) != len(r.given) {
		panic(fmt.Errorf("the backward pass is given %d values and keeps %d", len(r.given), len(r.kept)))
	}
	by := append([]*Node{}, nodes...)
	for _, n := range r.given {
		if n.DType().IsFloat() { // so that the gradients by them are known
			by = append(by, n)
		}
	}
	for _, t := range r.terms {
		scalar = Add(scalar, t)
	}
	return Gradient(scalar, by...)[:len(nodes)]
}
