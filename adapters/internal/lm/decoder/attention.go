package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/internal/layers"
)

// Attend computes the attention of one block: queries float[B, H, T, Dh], keys and
// values float[B, Kv, T, Dh] → float[B, H, T, Dh].
type Attend func(q, k, v *Node) *Node

// BlockAttention configures the attention of one block.
type BlockAttention struct {
	Scale  float64 // of the scores
	Window int     // positions that a query sees, its own included; 0 for all
}

// Repeat returns n equal blocks.
func Repeat(n int, b BlockAttention) []BlockAttention {
	all := make([]BlockAttention, n)
	for i := range all {
		all[i] = b
	}
	return all
}

// With a sliding window of w, the query at position p sees the keys at p−w+1 … p
// (transformers, masking_utils.py). A window of 0 shows all keys up to p.

// causalBias returns lm.CausalBias within a window: float32[1, 1, T, T].
func causalBias(g *Graph, t, window int) *Node {
	bias := lm.CausalBias(g, t)
	if window == 0 || window >= t {
		return bias
	}
	query := Iota(g, shapes.Make(dtypes.Int32, 1, 1, t, t), 2)
	key := Iota(g, shapes.Make(dtypes.Int32, 1, 1, t, t), 3)
	return maskOutside(bias, key, query, window)
}

// paddingBias returns lm.PaddingBias within the window of queries at positions at
// int32[B]: float32[B, 1, 1, C].
func paddingBias(lengths, at *Node, c, window int) *Node {
	bias := lm.PaddingBias(lengths, c)
	if window == 0 {
		return bias
	}
	b := lengths.Shape().Dimensions[0]
	key := Iota(lengths.Graph(), shapes.Make(dtypes.Int32, b, 1, 1, c), 3)
	return maskOutside(bias, key, BroadcastToDims(Reshape(at, b, 1, 1, 1), b, 1, 1, c), window)
}

// stepBias returns lm.StepBias within a window: float32[1, 1, 1, C].
func stepBias(step *Node, c, window int) *Node {
	bias := lm.StepBias(step, c)
	if window == 0 {
		return bias
	}
	key := Iota(step.Graph(), shapes.Make(dtypes.Int32, 1, 1, 1, c), 3)
	return maskOutside(bias, key, BroadcastToDims(ExpandLeftToRank(step, 4), 1, 1, 1, c), window)
}

// maskOutside masks, beside what bias masks, the keys that lie before the query's
// window. A score that is masked twice stays masked.
func maskOutside(bias, key, query *Node, window int) *Node {
	return Add(bias, layers.MaskBias(GreaterThan(key, AddScalar(query, -window)), lm.MaskedScore))
}

// repeatForGroups repeats a bias float32[1, 1, T, T] for the G query heads that share
// keys: float32[1, 1, G·T, T].
func repeatForGroups(bias *Node, groups int) *Node {
	if groups == 1 {
		return bias
	}
	t := bias.Shape().Dimensions[3]
	return Reshape(BroadcastToDims(Reshape(bias, 1, 1, 1, t, t), 1, 1, groups, t, t), 1, 1, groups*t, t)
}
