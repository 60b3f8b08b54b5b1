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
// or the number of query heads that share a head of keys. A run with fewer rows than the
// queries is shared by beams ([FoldBeams]). Scores are scaled and, if cap is not 0,
// soft-capped.
func Attend(q *Node, scale, cap float64, runs ...KeyValues) *Node {
	scores := make([]*Node, len(runs))
	for i, run := range runs {
		folded := FoldBeams(q, run.Keys.Shape().Dimensions[0])
		s := ConvertDType(EinsumAxes(folded, run.Keys, [][2]int{{3, 3}}, [][2]int{{0, 0}, {1, 1}}), dtypes.Float32)
		s = UnfoldBeams(s, q.Shape().Dimensions[0])
		bias := BroadcastToDims(ExpandLeftToRank(run.Bias, 4), s.Shape().Dimensions...)
		scores[i] = Add(layers.SoftCap(MulScalar(s, scale), cap), bias)
	}
	probs := ConvertDType(Softmax(Concatenate(scores, -1), -1), q.DType())
	var sum *Node
	from := 0
	for _, run := range runs {
		to := from + run.Keys.Shape().Dimensions[2]
		p := FoldBeams(Slice(probs, AxisRange(), AxisRange(), AxisRange(), AxisRange(from, to)), run.Values.Shape().Dimensions[0])
		y := UnfoldBeams(EinsumAxes(p, run.Values, [][2]int{{3, 2}}, [][2]int{{0, 0}, {1, 1}}), q.Shape().Dimensions[0])
		if sum == nil {
			sum = y
		} else {
			sum = Add(sum, y)
		}
		from = to
	}
	return sum
}

// FoldBeams puts the rows of an example's beams side by side, to attend to keys and values that
// the beams share: float[B·k, H, R, D] → float[B, H, k·R, D].
func FoldBeams(x *Node, batch int) *Node {
	d := x.Shape().Dimensions
	if d[0] == batch {
		return x
	}
	k := d[0] / batch
	return Reshape(TransposeAllAxes(Reshape(x, batch, k, d[1], d[2], d[3]), 0, 2, 1, 3, 4), batch, d[1], k*d[2], d[3])
}

// UnfoldBeams is the inverse of [FoldBeams]: float[B, H, k·R, D] → float[rows, H, R, D].
func UnfoldBeams(x *Node, rows int) *Node {
	d := x.Shape().Dimensions
	if d[0] == rows {
		return x
	}
	k := rows / d[0]
	return Reshape(TransposeAllAxes(Reshape(x, d[0], d[1], k, d[2]/k, d[3]), 0, 2, 1, 3, 4), rows, d[1], d[2]/k, d[3])
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
