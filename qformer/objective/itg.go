package objective

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/qformer"
)

// Generation is the ITG loss: the mean over all tokens after the first of the
// cross-entropy, with label smoothing, of the token given the picture and the
// text before it. The text's first token is replaced by c.Begin; padding is no
// target. IDs int32[B, T], visible bool[B, T].
func Generation(m *qformer.Model, seen qformer.Seen, ids, visible *Node, c Config) *Node {
	d := ids.Shape().Dimensions
	begin := BroadcastToDims(Scalar(ids.Graph(), ids.DType(), c.Begin), d[0], 1)
	// The last token predicts nothing, and no other sees it.
	input := Concatenate([]*Node{begin, Slice(ids, AxisRange(), AxisRange(1, d[1]-1))}, 1)
	target := Slice(ids, AxisRange(), AxisRangeToEnd(1))
	counted := ConvertDType(Slice(visible, AxisRange(), AxisRangeToEnd(1)), dtypes.Float32)

	decoded := m.Decode(seen, input, Slice(visible, AxisRange(), AxisRangeFromStart(d[1]-1)))
	// −Σ smoothed·log p = log Σ exp − (1−s)·logit − s·mean logit.
	surprise := Sub(
		logSumExp(m.WordLogits(decoded), -1),
		Add(
			MulScalar(m.LogitsAt(decoded, target), 1-c.Smoothing),
			MulScalar(m.MeanLogits(decoded), c.Smoothing),
		))
	sum := ReduceSum(ReduceSum(Mul(surprise, counted), -1), -1)
	tokens := MaxScalar(ReduceSum(ReduceSum(counted, -1), -1), 1)
	return Div(sum, tokens)
}
