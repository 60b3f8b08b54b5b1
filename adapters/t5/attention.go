package t5

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// attend computes attention without scaling the scores, as T5 does.
func attend(q, k, v, bias *Node) *Node {
	return layers.Attention(q, k, v, layers.AttentionOptions{Bias: bias, Scale: 1})
}

// addBiases adds a position bias float[1, H, Tq, Tk] and a mask's bias
// float32[B or 1, 1, Tq or 1, Tk] for a batch: float32[B, H, Tq, Tk].
func addBiases(position, mask *Node, batch int) *Node {
	d := position.Shape().Dimensions
	dims := []int{batch, d[1], d[2], d[3]}
	return Add(BroadcastToDims(ConvertDType(position, mask.DType()), dims...), BroadcastToDims(mask, dims...))
}

// blockAttention computes the attention of a decoder's block over heads
// float[B, H, T, Dh]: self-attention to the answer so far, and cross-attention to the
// encoded input.
type blockAttention struct {
	self  func(block int, q, k, v *Node) *Node
	cross func(block int, q *Node) *Node
}

// inputKV returns the keys and values of the encoded input for a block of the
// decoder: float[B, H, T, Dh].
func (n network) inputKV(p layers.Params, block int, encoded *Node) (keys, values *Node) {
	a := p.At(fmt.Sprintf("%s.block.%d.layer.1.EncDecAttention", decoder, block))
	return n.heads(a.At("k"), encoded), n.heads(a.At("v"), encoded)
}

func (n network) heads(p layers.Params, x *Node) *Node {
	return layers.SplitHeads(layers.Linear(p, x), n.NumHeads)
}
