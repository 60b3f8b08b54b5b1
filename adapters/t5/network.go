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

// Embed returns float[..., D]: the encoder's embeddings, which soft prompts stand beside.
func (n network) Embed(p layers.Params, ids *Node) *Node {
	return layers.Embedding(p.At(n.tables.encoder), ids)
}

// embedTarget returns the decoder's embeddings float[..., D].
func (n network) embedTarget(p layers.Params, ids *Node) *Node {
	return layers.Embedding(p.At(n.tables.decoder), ids)
}

// States returns the decoder's states float[B, K, D].
func (n network) States(p layers.Params, in lm.Input) *Node {
	encoded := n.encode(p, in)
	padding := lm.PaddingBias(in.Lengths, encoded.Shape().Dimensions[1])
	x := n.embedTarget(p, in.Decoder)
	b, k := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	bias := addBiases(n.positionBias(p, decoder, k), lm.CausalBias(p.Graph(), k), b)
	return n.decode(p, x, blockAttention{
		self: func(_ int, q, k, v *Node) *Node { return attend(q, k, v, bias) },
		cross: func(i int, q *Node) *Node {
			k, v := n.inputKV(p, i, encoded)
			return attend(q, k, v, padding)
		},
	})
}

// Logits applies the head, which may be the token embeddings.
func (n network) Logits(p layers.Params, states *Node) *Node {
	if n.scaled() {
		states = MulScalar(states, 1/math.Sqrt(float64(n.DModel)))
	}
	return layers.Linear(p.At(n.tables.head), states)
}

// Prefill returns, for each block of the decoder, the keys and values of the encoded
// input.
func (n network) Prefill(p layers.Params, in lm.Input) lm.Prefilled {
	encoded := n.encode(p, in)
	var promptKV []*Node
	for i := range n.NumDecoderLayers {
		k, v := n.inputKV(p, i, encoded)
		promptKV = append(promptKV, k, v)
	}
	return lm.Prefilled{PromptKV: promptKV}
}

// Step reads the decoder's token at position step.
func (n network) Step(p layers.Params, in lm.StepInput) lm.StepOutput {
	capacity := in.GeneratedKV[0].Shape().Dimensions[2]
	rows, batch := in.Tokens.Shape().Dimensions[0], in.PromptKV[0].Shape().Dimensions[0]
	lengths := Squeeze(Slice(Reshape(in.Lengths, batch, rows/batch), AxisRange(), AxisRange(0, 1)), 1)
	padding := lm.PaddingBias(lengths, in.PromptKV[0].Shape().Dimensions[2])
	bias := addBiases(n.stepPositionBias(p, in.Step, capacity), lm.StepBias(in.Step, capacity), rows)
	var generatedKV []*Node
	states := n.decode(p, InsertAxes(n.embedTarget(p, in.Tokens), 1), blockAttention{
		self: func(i int, q, k, v *Node) *Node {
			k, v = lm.UpdateCache(in.GeneratedKV[2*i], k, in.Step), lm.UpdateCache(in.GeneratedKV[2*i+1], v, in.Step)
			generatedKV = append(generatedKV, k, v)
			return attend(q, k, v, bias)
		},
		cross: func(i int, q *Node) *Node {
			return lm.UnfoldBeams(attend(lm.FoldBeams(q, batch), in.PromptKV[2*i], in.PromptKV[2*i+1], padding), rows)
		},
	})
	return lm.StepOutput{States: Squeeze(states, 1), GeneratedKV: generatedKV}
}

// Cache describes a key and a value tensor for each block of the decoder.
func (n network) Cache() lm.CacheShape {
	return lm.CacheShape{Tensors: 2 * n.NumDecoderLayers, Heads: n.NumHeads, Dim: n.DKV}
}

// encode runs the encoder: float[B, T, D].
func (n network) encode(p layers.Params, in lm.Input) *Node {
	x := in.Embeds
	b, t := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	bias := addBiases(n.positionBias(p, encoder, t), lm.PaddingBias(in.Lengths, t), b)
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

func (n network) norm(p layers.Params, x *Node) *Node {
	return layers.RMSNorm(p, x, n.LayerNormEpsilon)
}

// sublayer returns x + f(norm(x)).
func (n network) sublayer(p layers.Params, x *Node, f func(x *Node) *Node) *Node {
	return Add(x, f(n.norm(p.At("layer_norm"), x)))
}

// feedForward returns wo(act(wi_0 x) · wi_1 x), or wo(act(wi x)) without a gate.
func (n network) feedForward(p layers.Params, x *Node) *Node {
	inputs := n.inputsOfFeedForward()
	y := layers.Activation(n.DenseActFn, layers.Linear(p.At(inputs[0]), x))
	if n.gated() {
		y = Mul(y, layers.Linear(p.At(inputs[1]), x))
	}
	return layers.Linear(p.At("wo"), y)
}
