package qformer

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// RNG is a source of random numbers inside one graph. Its state is an argument of the
// graph, so that the same state gives the same numbers: a forward pass can be recomputed
// for its gradient, and a resumed run repeats the step that it lost.
type RNG struct{ layers *layers.RNG }

// NewRNG starts from a state as [RNGStateFromSeed] makes it.
func NewRNG(state *Node) *RNG { return &RNG{layers.NewRNG(state)} }

// Uniform draws float32 numbers from [0, 1).
func (r *RNG) Uniform(dims ...int) *Node { return r.layers.Uniform(dims...) }

// inner returns the source for package layers, nil if r is nil.
func (r *RNG) inner() *layers.RNG {
	if r == nil {
		return nil
	}
	return r.layers
}
