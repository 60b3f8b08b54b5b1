package t5

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/internal/layers"
)

// The two stacks.
const (
	encoder = "encoder"
	decoder = "decoder"
)

// network builds T5's graphs (transformers, models/t5/modeling_t5.py).
type network struct{ config }

var _ lm.Network = network{}

// Embed returns float[..., D].
func (n network) Embed(p layers.Params, ids *Node) *Node { return layers.Embedding(p.At(shared), ids) }

// States returns the decoder's states float[B, K, D].
func (n network) States(p layers.Params, in lm.Input) *Node {
	memory := n.encode(p, in)
	before := lm.BeforeBias(in.Lengths, memory.Shape().Dimensions[1])
	x := n.Embed(p, in.Decoder)
	b, k := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	bias := sum(n.bias(p, decoder, k), lm.CausalBias(p.Graph(), k), b)
	return n.decode(p, x, blockAttention{
		self: func(_ int, q, k, v *Node) *Node { return attend(q, k, v, bias) },
		cross: func(i int, q *Node) *Node {
			k, v := n.memory(p, i, memory)
			return attend(q, k, v, before)
		},
	})
}

// Logits is the head, the token embeddings where it is tied to them.
func (n network) Logits(p layers.Params, states *Node) *Node {
	if n.scaled() {
		states = MulScalar(states, 1/math.Sqrt(float64(n.DModel)))
	}
	if n.untied {
		return layers.Linear(p.At(head), states)
	}
	return layers.Linear(p.At(shared), states)
}

// Prefill keeps, for each block of the decoder, keys and values of the encoded
// input.
func (n network) Prefill(p layers.Params, in lm.Input) lm.Prefilled {
	memory := n.encode(p, in)
	var fixed []*Node
	for i := range n.NumDecoderLayers {
		k, v := n.memory(p, i, memory)
		fixed = append(fixed, k, v)
	}
	return lm.Prefilled{Fixed: fixed}
}

// Step reads the decoder's token at position step.
func (n network) Step(p layers.Params, in lm.StepInput) lm.StepOutput {
	room := in.Grown[0].Shape().Dimensions[2]
	before := lm.BeforeBias(in.Lengths, in.Fixed[0].Shape().Dimensions[2])
	bias := sum(n.stepBias(p, in.Step, room), lm.UpToBias(in.Step, room), in.Tokens.Shape().Dimensions[0])
	var grown []*Node
	states := n.decode(p, InsertAxes(n.Embed(p, in.Tokens), 1), blockAttention{
		self: func(i int, q, k, v *Node) *Node {
			k, v = lm.Append(in.Grown[2*i], k, in.Step), lm.Append(in.Grown[2*i+1], v, in.Step)
			grown = append(grown, k, v)
			return attend(q, k, v, bias)
		},
		cross: func(i int, q *Node) *Node { return attend(q, in.Fixed[2*i], in.Fixed[2*i+1], before) },
	})
	return lm.StepOutput{States: Squeeze(states, 1), Grown: grown}
}

// Cache is a key and a value for each block of the decoder.
func (n network) Cache() lm.CacheShape {
	return lm.CacheShape{Tensors: 2 * n.NumDecoderLayers, Heads: n.NumHeads, Dim: n.DKV}
}

// attend is T5's attention, which does not scale the scores.
func attend(q, k, v, bias *Node) *Node {
	return layers.Attention(q, k, v, layers.AttentionOptions{Bias: bias, Scale: 1})
}

// sum adds a position bias float[1, H, Tq, Tk] and a mask's bias
// float32[B or 1, 1, Tq or 1, Tk] for a batch: float32[B, H, Tq, Tk].
func sum(position, mask *Node, batch int) *Node {
	d := position.Shape().Dimensions
	dims := []int{batch, d[1], d[2], d[3]}
	return Add(BroadcastToDims(ConvertDType(position, mask.DType()), dims...), BroadcastToDims(mask, dims...))
}

// encode runs the encoder: float[B, T, D].
func (n network) encode(p layers.Params, in lm.Input) *Node {
	x := in.Embeds
	b, t := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	bias := sum(n.bias(p, encoder, t), lm.BeforeBias(in.Lengths, t), b)
	for i := range n.NumLayers {
		block := p.At(fmt.Sprintf("%s.block.%d", encoder, i))
		x = n.sublayer(block.At("layer.0"), x, func(x *Node) *Node {
			a := block.At("layer.0.SelfAttention")
			q, k, v := n.heads(a.At("q"), x), n.heads(a.At("k"), x), n.heads(a.At("v"), x)
			return layers.Linear(a.At("o"), layers.MergeHeads(attend(q, k, v, bias)))
		})
		x = n.sublayer(block.At("layer.1"), x, func(x *Node) *Node { return n.feedForward(block.At("layer.1.DenseReluDense"), x) })
	}
	return n.norm(p.At(encoder+".final_layer_norm"), x)
}

// blockAttention is the attention of a decoder's block over heads
// float[B, H, T, Dh]: to the answer so far, and to the encoded input.
type blockAttention struct {
	self  func(block int, q, k, v *Node) *Node
	cross func(block int, q *Node) *Node
}

// decode runs the decoder: float[B, K, D].
func (n network) decode(p layers.Params, x *Node, attention blockAttention) *Node {
	for i := range n.NumDecoderLayers {
		block := p.At(fmt.Sprintf("%s.block.%d", decoder, i))
		x = n.sublayer(block.At("layer.0"), x, func(x *Node) *Node {
			a := block.At("layer.0.SelfAttention")
			y := attention.self(i, n.heads(a.At("q"), x), n.heads(a.At("k"), x), n.heads(a.At("v"), x))
			return layers.Linear(a.At("o"), layers.MergeHeads(y))
		})
		x = n.sublayer(block.At("layer.1"), x, func(x *Node) *Node {
			a := block.At("layer.1.EncDecAttention")
			return layers.Linear(a.At("o"), layers.MergeHeads(attention.cross(i, n.heads(a.At("q"), x))))
		})
		x = n.sublayer(block.At("layer.2"), x, func(x *Node) *Node { return n.feedForward(block.At("layer.2.DenseReluDense"), x) })
	}
	return n.norm(p.At(decoder+".final_layer_norm"), x)
}

// memory returns the keys and values of the encoded input for a block of the
// decoder: float[B, H, T, Dh].
func (n network) memory(p layers.Params, block int, encoded *Node) (keys, values *Node) {
	a := p.At(fmt.Sprintf("%s.block.%d.layer.1.EncDecAttention", decoder, block))
	return n.heads(a.At("k"), encoded), n.heads(a.At("v"), encoded)
}

func (n network) heads(p layers.Params, x *Node) *Node {
	return layers.SplitHeads(layers.Linear(p, x), n.NumHeads)
}

func (n network) norm(p layers.Params, x *Node) *Node {
	return layers.RMSNorm(p, x, n.LayerNormEpsilon)
}

// sublayer is x + f(norm(x)).
func (n network) sublayer(p layers.Params, x *Node, f func(x *Node) *Node) *Node {
	return Add(x, f(n.norm(p.At("layer_norm"), x)))
}

// feedForward is wo(act(wi_0 x) · wi_1 x), or wo(act(wi x)) without a gate.
func (n network) feedForward(p layers.Params, x *Node) *Node {
	inputs := n.inputsOfFeedForward()
	y := layers.Activation(n.DenseActFn, layers.Linear(p.At(inputs[0]), x))
	if n.gated() {
		y = Mul(y, layers.Linear(p.At(inputs[1]), x))
	}
	return layers.Linear(p.At("wo"), y)
}
