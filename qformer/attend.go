package qformer

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// attend is softmax(q·kᵀ/√Dh + bias)·v over the heads' queries
// float[B, H, Tq, Dh], with dropout of the probabilities; the softmax in
// float32. It differs from layers.Attention in how its products are laid out.
func (m *Model) attend(q *Node, kv keyValue, bias *Node) *Node {
	scale := 1 / math.Sqrt(float64(q.Shape().Dimensions[3]))
	scores := ConvertDType(product(MulScalar(q, scale), swap(kv.key)), dtypes.Float32)
	if bias != nil {
		scores = Add(scores, BroadcastToDims(bias, scores.Shape().Dimensions...))
	}
	probs := layers.Dropout(Softmax(scores, -1), m.cfg.Dropout, m.rng)
	return product(ConvertDType(probs, kv.value.DType()), kv.value)
}

// product multiplies the matrices in the last two axes: float[B, H, I, K] and
// float[B, H, K, J] → float[B, H, I, J].
//
// The Go backend multiplies many small matrices an order of magnitude faster
// when it contracts rows with columns than when it contracts rows with rows,
// which is what automatic differentiation asks for. So the gradients are
// written out: ∂x = ∂z·yᵀ, ∂y = xᵀ·∂z. The contractions that the differentiation
// builds beside them stay unused and are not computed.
func product(x, y *Node) *Node {
	var cotangent *Node // set by the output's gradient, which comes first
	tracedX := IdentityWithCustomGradient(x, func(x, _ *Node) *Node { return rowsByColumns(cotangent, swap(y)) })
	tracedY := IdentityWithCustomGradient(y, func(y, _ *Node) *Node { return rowsByColumns(swap(x), cotangent) })
	return IdentityWithCustomGradient(rowsByColumns(tracedX, tracedY), func(_, v *Node) *Node {
		cotangent = v
		return v
	})
}

func rowsByColumns(x, y *Node) *Node {
	return EinsumAxes(x, y, [][2]int{{3, 2}}, [][2]int{{0, 0}, {1, 1}})
}

// swap transposes the matrices in the last two axes.
func swap(x *Node) *Node { return TransposeAllDims(x, 0, 1, 3, 2) }
