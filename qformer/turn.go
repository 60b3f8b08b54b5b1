package qformer

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// Turn is the backward pass of some passes through the layers, those of [Model.InTurn]. Another
// part's backward pass begins after it. So gradients of shared weights, and activations, of one
// pass at a time are in memory. Passes in turn must be built after the part that they precede.
type Turn struct{ layers layers.Turn }

// Precedes returns y, the output of the part whose backward pass begins when the turn is over.
func (t *Turn) Precedes(y *Node) *Node { return t.layers.Precedes(y) }
