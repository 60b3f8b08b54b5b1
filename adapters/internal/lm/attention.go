package lm

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// KeyValues is a run of keys and values that queries attend to, with the bias of
// its scores.
type KeyValues struct {
	Keys, Values *Node // float[B, H, C, Dh]
	Bias         *Node // float32, broadcastable to [B, H, R, C]
}

// Attend is cached attention: queries float[B, H, R, Dh] attend to several runs of
// keys and values as if they were concatenated, without concatenating them. R is 1,
// or the number of query heads that share a head of keys. Scores are scaled and, if
// cap is not 0, soft-capped.
func Attend(q *Node, scale, cap float64, runs ...KeyValues) *Node {
	scores := make([]*Node, len(runs))
	for i, run := range runs {
		s := ConvertDType(EinsumAxes(q, run.Keys, [][2]int{{3, 3}}, [][2]int{{0, 0}, {1, 1}}), dtypes.Float32)
		bias := BroadcastToDims(ExpandLeftToRank(run.Bias, 4), s.Shape().Dimensions...)
		scores[i] = Add(layers.SoftCap(MulScalar(s, scale), cap), bias)
	}
	probs := ConvertDType(Softmax(Concatenate(scores, -1), -1), q.DType())
	var sum *Node
	from := 0
	for _, run := range runs {
		to := from + run.Keys.Shape().Dimensions[2]
		p := Slice(probs, AxisRange(), AxisRange(), AxisRange(), AxisRange(from, to))
		y := EinsumAxes(p, run.Values, [][2]int{{3, 2}}, [][2]int{{0, 0}, {1, 1}})
		if sum == nil {
			sum = y
		} else {
			sum = Add(sum, y)
		}
		from = to
	}
	return sum
}

// MaskedScore is the bias of a masked score.
const MaskedScore = -1e9

// PaddingBias masks the positions of C from lengths int32[B] on:
// float32[B, 1, 1, C].
func PaddingBias(lengths *Node, c int) *Node {
	b := lengths.Shape().Dimensions[0]
	positions := Iota(lengths.Graph(), shapes.Make(dtypes.Int32, b, 1, 1, c), 3)
	visible := LessThan(positions, BroadcastToDims(Reshape(lengths, b, 1, 1, 1), b, 1, 1, c))
	return layers.MaskBias(visible, MaskedScore)
}

// StepBias masks the positions of C after step int32[], which the KV cache does not
// hold yet: float32[1, 1, 1, C].
func StepBias(step *Node, c int) *Node {
	positions := Iota(step.Graph(), shapes.Make(dtypes.Int32, 1, 1, 1, c), 3)
	visible := LessOrEqual(positions, BroadcastToDims(ExpandLeftToRank(step, 4), 1, 1, 1, c))
	return layers.MaskBias(visible, MaskedScore)
}

// CausalBias masks later positions: float32[1, 1, T, T]. It masks padding too,
// because padding stands on the right of all tokens.
func CausalBias(g *Graph, t int) *Node {
	rows := Iota(g, shapes.Make(dtypes.Int32, 1, 1, t, t), 2)
	columns := Iota(g, shapes.Make(dtypes.Int32, 1, 1, t, t), 3)
	return layers.MaskBias(LessOrEqual(columns, rows), MaskedScore)
}
