package layers

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers/attention"
)

// SplitHeads turns float[B, T, H·Dh] into float[B, H, T, Dh].
func SplitHeads(x *Node, heads int) *Node {
	d := x.Shape().Dimensions
	return TransposeAllDims(Reshape(x, d[0], d[1], heads, d[2]/heads), 0, 2, 1, 3)
}

// MergeHeads turns float[B, H, T, Dh] into float[B, T, H·Dh].
func MergeHeads(x *Node) *Node {
	d := x.Shape().Dimensions
	return Reshape(TransposeAllDims(x, 0, 2, 1, 3), d[0], d[2], d[1]*d[3])
}

// AttentionOptions modify [Attention]. The zero value is plain attention scaled
// by 1/√Dh.
type AttentionOptions struct {
	// Bias is added to the scores: float32, broadcastable to [B, H, Tq, Tk].
	// Masks are biases too (−10000 or lower where a key is hidden).
	Bias *Node
	// Scale multiplies the scores; 0 means 1/√Dh. T5 uses 1.
	Scale float64
	// Dropout is applied to the probabilities with keys from RNG; 0 or a nil
	// RNG means none.
	Dropout float64
	RNG     *RNG
}

// Attention is softmax(q·kᵀ·scale + bias)·v over float[B, H, Tq, Dh] queries
// and float[B, H, Tk, Dh] keys and values, the softmax in float32.
func Attention(q, k, v *Node, o AttentionOptions) *Node {
	scale := o.Scale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(q.Shape().Dimensions[3]))
	}
	if o.Bias == nil && (o.RNG == nil || o.Dropout == 0) {
		// Fused kernels on CUDA take unequal lengths without a check and err.
		unequal := q.Shape().Dimensions[2] != k.Shape().Dimensions[2]
		out, _ := attention.Core(q, k, v, attention.LayoutBHSD, attention.CoreOptions{Scale: scale, DisableFusion: unequal})
		return out
	}
	scores := toFloat32(MulScalar(EinsumAxes(q, k, [][2]int{{3, 3}}, [][2]int{{0, 0}, {1, 1}}), scale))
	if o.Bias != nil {
		bias := ConvertDType(o.Bias, dtypes.Float32)
		scores = Add(scores, BroadcastToDims(ExpandLeftToRank(bias, 4), scores.Shape().Dimensions...))
	}
	probs := Dropout(Softmax(scores, -1), o.Dropout, o.RNG)
	return EinsumAxes(ConvertDType(probs, v.DType()), v, [][2]int{{3, 2}}, [][2]int{{0, 0}, {1, 1}})
}

// MaskBias turns a boolean mask (true is visible) into the bias that hides the
// rest: 0 where visible, hidden where not.
func MaskBias(mask *Node, hidden float64) *Node {
	zero := Scalar(mask.Graph(), dtypes.Float32, 0.0)
	return Where(mask, zero, Scalar(mask.Graph(), dtypes.Float32, hidden))
}
