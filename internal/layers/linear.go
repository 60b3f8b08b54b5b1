package layers

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/nn"
)

// Linear returns x·Wᵀ + b for p's "weight" [out, in] and, if there is one,
// "bias" [out]: float[..., in] → float[..., out].
func Linear(p Params, x *Node) *Node {
	var bias *Node
	if p.Has("bias") {
		bias = p.Get("bias")
	}
	return LinearWith(x, p.Get("weight"), bias)
}

// LinearWith is [Linear] with the weight [out, in] and the bias [out] (or nil)
// given as nodes.
func LinearWith(x, weight, bias *Node) *Node {
	if x.DType() == dtypes.BFloat16 && bias != nil {
		// The Go backend has no bfloat16 dense kernel with bias.
		y := nn.Dense(x, weight, nil, compute.DenseLayoutOutputsInput)
		return Add(y, ExpandLeftToRank(bias, y.Rank()))
	}
	return nn.Dense(x, weight, bias, compute.DenseLayoutOutputsInput)
}

// Embedding returns the rows of p's "weight" [V, D] at ids int32[...]:
// float[..., D].
func Embedding(p Params, ids *Node) *Node {
	return Gather(p.Get("weight"), InsertAxes(ids, -1))
}
