package layers

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/nn"
)

// LayerNorm normalizes the last axis with p's "weight" and "bias". It always computes in float32.
func LayerNorm(p Params, x *Node, eps float64) *Node {
	y := nn.LayerNorm(toFloat32(x), []int{-1}, eps, toFloat32(p.Get("weight")), toFloat32(p.Get("bias")), nil)
	return ConvertDType(y, x.DType())
}

// Standardize is [LayerNorm] without "weight" and "bias": it subtracts the mean of the last axis and divides by the
// standard deviation. It always computes in float32.
func Standardize(x *Node, eps float64) *Node {
	return ConvertDType(nn.LayerNorm(toFloat32(x), []int{-1}, eps, nil, nil, nil), x.DType())
}

// RMSNorm divides by the root mean square of the last axis and scales by p's "weight", without mean
// and bias (T5, Llama). It always computes in float32.
func RMSNorm(p Params, x *Node, eps float64) *Node {
	return rmsNorm(toFloat32(p.Get("weight")), x, eps)
}

// RMSNormPlusOne is [RMSNorm] with the scale 1 + p's "weight" (Gemma).
func RMSNormPlusOne(p Params, x *Node, eps float64) *Node {
	return rmsNorm(AddScalar(toFloat32(p.Get("weight")), 1), x, eps)
}

func rmsNorm(scale, x *Node, eps float64) *Node {
	x32 := toFloat32(x)
	mean := ReduceAndKeep(Square(x32), ReduceMean, -1)
	y := Div(x32, Sqrt(AddScalar(mean, eps)))
	return ConvertDType(Mul(y, ExpandLeftToRank(scale, y.Rank())), x.DType())
}

// toFloat32 converts x to float32.
func toFloat32(x *Node) *Node {
	if x.DType() == dtypes.Float32 {
		return x
	}
	return ConvertDType(x, dtypes.Float32)
}
