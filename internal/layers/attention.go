package layers

import (
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers/attention"
)

// SplitHeads splits the heads: float[B, T, H·Dh] → float[B, H, T, Dh].
func SplitHeads(x *Node, heads int) *Node {
	d := x.Shape().Dimensions
	return TransposeAllDims(Reshape(x, d[0], d[1], heads, d[2]/heads), 0, 2, 1, 3)
}

// MergeHeads merges the heads: float[B, H, T, Dh] → float[B, T, H·Dh].
func MergeHeads(x *Node) *Node {
	d := x.Shape().Dimensions
	return Reshape(TransposeAllDims(x, 0, 2, 1, 3), d[0], d[2], d[1]*d[3])
}

// AttentionOptions are the options of [Attention]. The zero value is plain attention, scaled by
// 1/√Dh.
type AttentionOptions struct {
	// Bias is added to the scores: float32, broadcastable to [B, H, Tq, Tk].
	// Masks are biases too (−10000 or lower for a masked key).
	Bias *Node
	// Scale multiplies the scores; 0 means 1/√Dh. T5 uses 1.
	Scale float64
	// Cap, if not 0, soft-caps the scaled scores ([SoftCap]) before the bias is added
	// (Gemma 2).
	Cap float64
	// Dropout is the rate of dropout on the probabilities, with random numbers from RNG. If it is 0
	// or RNG is nil, there is no dropout.
	Dropout float64
	RNG     *RNG
	// Rows, if not nil, is int32[B]: example b attends to row Rows[b] of the keys and values. The
	// selected rows are not kept for the backward pass, which selects them again.
	Rows *Node
	// Residuals, if not nil, keep the scores before Cap and Bias, and the result.
	Residuals *Residuals
}

// Attention returns softmax(q·kᵀ·scale + bias)·v for queries float[B, H, Tq, Dh], and keys and
// values float[B, H, Tk, Dh]. The softmax is in float32.
func Attention(q, k, v *Node, o AttentionOptions) *Node {
	scale := o.Scale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(q.Shape().Dimensions[3]))
	}
	if fusable(q, k, o) {
		out, _ := attention.Core(q, k, v, attention.LayoutBHSD, attention.CoreOptions{Scale: scale})
		return o.Residuals.Keep(out)
	}
	dtype := v.DType()
	if !onXLA(q) {
		// The Go backend gives wrong results for batches of small bfloat16 products.
		q, k, v = toFloat32(q), toFloat32(k), toFloat32(v)
	}
	scores := o.Residuals.Keep(toFloat32(product(MulScalar(q, scale), operand{x: k, rows: o.Rows, swapped: true})))
	scores = SoftCap(scores, o.Cap)
	if o.Bias != nil {
		bias := ConvertDType(o.Bias, dtypes.Float32)
		scores = Add(scores, BroadcastToDims(ExpandLeftToRank(bias, 4), scores.Shape().Dimensions...))
	}
	probs := Dropout(Softmax(scores, -1), o.Dropout, o.RNG)
	return o.Residuals.Keep(ConvertDType(product(ConvertDType(probs, v.DType()), operand{x: v, rows: o.Rows}), dtype))
}

// SoftCap returns cap·tanh(x/cap), or x if cap is 0.
func SoftCap(x *Node, cap float64) *Node {
	if cap == 0 {
		return x
	}
	return MulScalar(Tanh(DivScalar(x, cap)), cap)
}

// fusable reports whether XLA's fused kernel can compute this attention: on a GPU, in half
// precision, without bias or dropout, and with equal lengths. The kernel does not check the
// lengths, and gives wrong results if they are unequal.
func fusable(q, k *Node, o AttentionOptions) bool {
	plain := o.Bias == nil && o.Rows == nil && o.Cap == 0 && (o.RNG == nil || o.Dropout == 0)
	equal := q.Shape().Dimensions[2] == k.Shape().Dimensions[2]
	return plain && equal && q.DType() == dtypes.BFloat16 && onXLA(q) &&
		q.Graph().Backend().Capabilities().Operations[compute.OpTypeFusedScaledDotProductAttention]
}

// operand is the second operand y of a product: x, or the rows of it with the indices rows
// int32[B], with the last two axes swapped or not.
type operand struct {
	x, rows *Node
	swapped bool
}

// of returns x, or the rows of it.
func (o operand) of(x *Node) *Node {
	if o.rows == nil {
		return x
	}
	return Gather(x, InsertAxes(o.rows, -1))
}

// product multiplies the matrices in the last two axes: float[B, H, I, K] and
// float[B, H, K, J] → float[B, H, I, J].
//
// The Go backend multiplies many small matrices three to five times faster
// (BenchmarkScores) when it contracts rows with columns than when it contracts
// rows with rows, as automatic differentiation does. Therefore the gradients are written
// out: ∂x = ∂z·yᵀ, ∂y = xᵀ·∂z. The contractions that differentiation builds as well are
// unused and not computed.
//
// For ∂x, rows of y are selected again when ∂z is known, so that they need not be kept.
func product(x *Node, o operand) *Node {
	var cotangent *Node // set by the gradient of the output, which is computed first
	y := o.of(o.x)
	if o.swapped {
		y = swap(y)
	}
	tracedX := IdentityWithCustomGradient(x, func(_, _ *Node) *Node {
		z, again := cotangent, o.x
		if o.rows != nil {
			barred := OptimizationBarriers(cotangent, o.x)
			z, again = barred[0], barred[1]
		}
		again = o.of(again)
		if !o.swapped {
			again = swap(again)
		}
		return rowsByColumns(z, again)
	})
	tracedY := IdentityWithCustomGradient(y, func(_, _ *Node) *Node { return rowsByColumns(swap(x), cotangent) })
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

// MaskBias converts a boolean mask (true is visible) to a bias: 0 for visible keys, masked for the
// others.
func MaskBias(mask *Node, masked float64) *Node {
	zero := Scalar(mask.Graph(), dtypes.Float32, 0.0)
	return Where(mask, zero, Scalar(mask.Graph(), dtypes.Float32, masked))
}
