package layers

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// RNG is a source of random numbers in a graph. Its state is an argument of the graph, and the same
// state gives the same numbers. So a forward pass can be recomputed for its gradient, and a resumed
// run repeats a lost step exactly. A nil RNG turns dropout off.
type RNG struct {
	state     *Node
	residuals *Residuals // keep what is dropped
}

// NewRNG returns an RNG with a state from [graph.RNGStateFromSeed].
func NewRNG(state *Node) *RNG { return &RNG{state: state} }

// Keeping returns a copy of r for dropout whose choices r keeps in residuals.
func (r *RNG) Keeping(residuals *Residuals) *RNG {
	if r == nil {
		return nil
	}
	return &RNG{r.state, residuals}
}

// Uniform returns random float32 numbers in [0, 1).
func (r *RNG) Uniform(dims ...int) *Node {
	var values *Node
	r.state, values = RandomUniform(r.state, shapes.Make(dtypes.Float32, dims...))
	return values
}

// Dropout zeroes elements with probability rate, and scales the others by 1/(1−rate).
func Dropout(x *Node, rate float64, rng *RNG) *Node {
	if rng == nil || rate <= 0 {
		return x
	}
	keep := GreaterOrEqual(rng.Uniform(x.Shape().Dimensions...), Scalar(x.Graph(), dtypes.Float32, rate))
	if onXLA(x) {
		// XLA would keep the random numbers for the backward pass, which are four times as large.
		after := OptimizationBarriers(keep, rng.state)
		keep, rng.state = after[0], after[1]
	}
	keep = rng.residuals.Keep(keep)
	return Where(keep, MulScalar(x, 1/(1-rate)), ZerosLike(x))
}
