package layers

import (
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/nn"
)

// Linear returns x·Wᵀ + b for p's "weight" [out, in] and its "bias" [out], if it has one:
// float[..., in] → float[..., out].
// If the store has the weight transposed instead ([TransposedSuffix]), it computes the same with it.
func Linear(p Params, x *Node) *Node {
	if p.Has("weight" + TransposedSuffix) {
		return dense(x, p.Get("weight"+TransposedSuffix), bias(p), compute.DenseLayoutInputOutputs)
	}
	return LinearWith(x, p.Get("weight"), bias(p))
}

// TransposedSuffix ends the name of a weight [in, out] in place of the checkpoint's [out, in].
const TransposedSuffix = ".transposed"

// LinearTransposed is [Linear] for a "weight" with the layout [in, out] (GPT-2).
func LinearTransposed(p Params, x *Node) *Node {
	return dense(x, p.Get("weight"), bias(p), compute.DenseLayoutInputOutputs)
}

// bias returns p's "bias", or nil if it has none.
func bias(p Params) *Node {
	if !p.Has("bias") {
		return nil
	}
	return p.Get("bias")
}

// LinearWith is [Linear] with nodes for the weight [out, in] and the bias [out], which may be nil.
func LinearWith(x, weight, bias *Node) *Node {
	out, in := weight.Shape().Dimensions[0], weight.Shape().Dimensions[1]
	if rows := x.Shape().Size() / in; !onXLA(x) && rows >= fewRows && rows*in*out < smallProduct {
		return dense(x, TransposeAllDims(weight, 1, 0), bias, compute.DenseLayoutInputOutputs)
	}
	return dense(x, weight, bias, compute.DenseLayoutOutputsInput)
}

// LinearOfNorm is [Linear] after a [LayerNorm] with norm's "weight" and "bias", for x that is standardized
// ([Standardize]): W·(w∘x + b) + c = (W∘w)·x + (W·b + c). It multiplies the weight [out, in] by the norm's, in
// float32, and not x. So the gradients of the norm's weights need no gradient by x, which would take another
// product of matrices.
func LinearOfNorm(p, norm Params, x *Node) *Node {
	p, norm = p.WithDType(dtypes.Float32), norm.WithDType(dtypes.Float32)
	weight := p.Get("weight")
	total := ReduceSum(Mul(weight, InsertAxes(norm.Get("bias"), 0)), -1)
	if b := bias(p); b != nil {
		total = Add(total, b)
	}
	scaled := Mul(weight, InsertAxes(norm.Get("weight"), 0))
	return LinearWith(x, ConvertDType(scaled, x.DType()), ConvertDType(total, x.DType()))
}

func dense(x, weight, bias *Node, layout compute.DenseLayout) *Node {
	dtype := x.DType()
	if dtype != dtypes.Float32 && !onXLA(x) {
		// The Go backend's kernel for small bfloat16 products gives wrong results on processors
		// without AVX-512, and it has no kernel with a bias.
		x, weight = toFloat32(x), toFloat32(weight)
		if bias != nil {
			bias = toFloat32(bias)
		}
	}
	return ConvertDType(nn.Dense(x, weight, bias, layout), dtype)
}

// smallProduct is the number of multiplications below which the Go backend uses a slow kernel for
// products of rows with rows. Such a product is faster with a transposed weight: generation takes
// 20 to 34 % less time.
const smallProduct = 4 << 20

// fewRows is the smallest number of rows for which transposing saves time. Transposing takes as
// long as 4 to 8 rows; a single row with a weight of 768 × 3072 takes 17 times as long with it.
const fewRows = 8

// onXLA reports whether x's graph is for XLA.
func onXLA(x *Node) bool { return strings.HasPrefix(x.Graph().Backend().Name(), "xla") }

// Embedding returns the rows of p's "weight" [V, D] at ids int32[...]:
// float[..., D].
func Embedding(p Params, ids *Node) *Node {
	return Gather(p.Get("weight"), InsertAxes(ids, -1))
}
