package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/internal/layers"
)

// A window of w shows the query at position p the keys at p−w+1 … p
// (transformers, masking_utils.py). A window of 0 shows all up to p.

// causalBias is lm.CausalBias within a window: float32[1, 1, T, T].
func causalBias(g *Graph, t, window int) *Node {
	bias := lm.CausalBias(g, t)
	if window == 0 || window >= t {
		return bias
	}
	query := Iota(g, shapes.Make(dtypes.Int32, 1, 1, t, t), 2)
	key := Iota(g, shapes.Make(dtypes.Int32, 1, 1, t, t), 3)
	return hideOutside(bias, key, query, window)
}

// beforeBias is lm.BeforeBias, for queries at positions at int32[B], within a
// window: float32[B, 1, 1, C].
func beforeBias(lengths, at *Node, c, window int) *Node {
	bias := lm.BeforeBias(lengths, c)
	if window == 0 {
		return bias
	}
	b := lengths.Shape().Dimensions[0]
	key := Iota(lengths.Graph(), shapes.Make(dtypes.Int32, b, 1, 1, c), 3)
	return hideOutside(bias, key, BroadcastToDims(Reshape(at, b, 1, 1, 1), b, 1, 1, c), window)
}

// upToBias is lm.UpToBias within a window: float32[1, 1, 1, C].
func upToBias(step *Node, c, window int) *Node {
	bias := lm.UpToBias(step, c)
	if window == 0 {
		return bias
	}
	key := Iota(step.Graph(), shapes.Make(dtypes.Int32, 1, 1, 1, c), 3)
	return hideOutside(bias, key, BroadcastToDims(ExpandLeftToRank(step, 4), 1, 1, 1, c), window)
}

// hideOutside adds to a bias what hides the keys that a query's window has left
// behind. Hidden twice is hidden.
func hideOutside(bias, key, query *Node, window int) *Node {
	return Add(bias, layers.MaskBias(GreaterThan(key, AddScalar(query, -window)), lm.Hidden))
}

// rows repeats a bias float32[1, 1, T, T] for the query heads that share keys:
// float32[1, 1, G·T, T].
func rows(bias *Node, groups int) *Node {
	if groups == 1 {
		return bias
	}
	t := bias.Shape().Dimensions[3]
	return Reshape(BroadcastToDims(Reshape(bias, 1, 1, 1, t, t), 1, 1, groups, t, t), 1, 1, groups*t, t)
}
