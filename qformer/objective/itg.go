package objective

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/qformer"
)

// GenerationLoss returns the ITG loss: the cross-entropy, with label smoothing, of each
// token given the picture and the text before it, averaged over all tokens after the
// first. c.Begin replaces the text's first token; padding is not a target. The ids are
// int32[B, T], visible is bool[B, T].
func GenerationLoss(m *qformer.Model, queries qformer.QueryStates, ids, visible *Node, c Config) *Node {
	d := ids.Shape().Dimensions
	begin := BroadcastToDims(Scalar(ids.Graph(), ids.DType(), c.Begin), d[0], 1)
	// The last token predicts nothing, and no other sees it.
	input := Concatenate([]*Node{begin, Slice(ids, AxisRange(), AxisRange(1, d[1]-1))}, 1)
	target := Slice(ids, AxisRange(), AxisRangeToEnd(1))
	counted := ConvertDType(Slice(visible, AxisRange(), AxisRangeToEnd(1)), dtypes.Float32)

	decoded := m.Decode(queries, input, Slice(visible, AxisRange(), AxisRangeFromStart(d[1]-1)))
	// −Σ smoothed·log p = log Σ exp − (1−s)·logit − s·mean logit.
	nll := Sub(
		logSumExp(m.TokenLogits(decoded), -1),
		Add(
			MulScalar(m.LogitsAt(decoded, target), 1-c.Smoothing),
			MulScalar(m.MeanLogits(decoded), c.Smoothing),
		))
	sum := ReduceSum(ReduceSum(Mul(nll, counted), -1), -1)
	tokens := MaxScalar(ReduceSum(ReduceSum(counted, -1), -1), 1)
	return Div(sum, tokens)
}
