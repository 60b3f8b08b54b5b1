package opt

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/lm"
)

// epsilon of every LayerNorm; OPT's config has no key for it.
const epsilon = 1e-5

// network builds OPT's graphs (transformers, models/opt/modeling_opt.py).
type network struct{ config }

var _ lm.Network = network{}

// Embed returns float[..., word_embed_proj_dim].
func (n network) Embed(p layers.Params, ids *Node) *Node {
	return layers.Embedding(p.At(decoder+"."+embedTokens), ids)
}

// attend is the attention of one layer over heads: float[B, H, T, Dh] each.
type attend func(layer int, q, k, v *Node) *Node

// States returns float[B, T, word_embed_proj_dim].
func (n network) States(p layers.Params, in lm.Input) *Node {
	bias := lm.CausalBias(p.Graph(), in.Embeds.Shape().Dimensions[1])
	return n.stack(p, in.Embeds, n.inputPositions(in.Embeds), func(_ int, q, k, v *Node) *Node {
		return layers.Attention(q, k, v, layers.AttentionOptions{Bias: bias})
	})
}

// Logits is the tied head.
func (n network) Logits(p layers.Params, states *Node) *Node {
	return layers.LinearWith(states, p.Get(embeddingName), nil)
}

// Prefill keeps the keys and values of the input, layer by layer.
func (n network) Prefill(p layers.Params, in lm.Input) lm.Prefilled {
	bias := lm.CausalBias(p.Graph(), in.Embeds.Shape().Dimensions[1])
	var fixed []*Node
	states := n.stack(p, in.Embeds, n.inputPositions(in.Embeds), func(_ int, q, k, v *Node) *Node {
		fixed = append(fixed, k, v)
		return layers.Attention(q, k, v, layers.AttentionOptions{Bias: bias})
	})
	return lm.Prefilled{Fixed: fixed, States: lm.LastStates(states, in.Lengths)}
}

// Step reads the token at position length + step.
func (n network) Step(p layers.Params, in lm.StepInput) lm.StepOutput {
	x := InsertAxes(n.Embed(p, in.Tokens), 1)
	positions := InsertAxes(Add(in.Lengths, BroadcastToDims(in.Step, in.Lengths.Shape().Dimensions...)), -1)
	before := lm.BeforeBias(in.Lengths, in.Fixed[0].Shape().Dimensions[2])
	upTo := lm.UpToBias(in.Step, in.Grown[0].Shape().Dimensions[2])
	var grown []*Node
	states := n.stack(p, x, positions, func(layer int, q, k, v *Node) *Node {
		k, v = lm.Append(in.Grown[2*layer], k, in.Step), lm.Append(in.Grown[2*layer+1], v, in.Step)
		grown = append(grown, k, v)
		return lm.Attend(q, 1/math.Sqrt(float64(n.headDim())), 0,
			lm.Part{Keys: in.Fixed[2*layer], Values: in.Fixed[2*layer+1], Bias: before},
			lm.Part{Keys: k, Values: v, Bias: upTo})
	})
	return lm.StepOutput{States: Squeeze(states, 1), Grown: grown}
}

// Cache is a key and a value for each layer.
func (n network) Cache() lm.CacheShape {
	return lm.CacheShape{Tensors: 2 * n.NumHiddenLayers, Heads: n.NumAttentionHeads, Dim: n.headDim()}
}

func (n network) headDim() int { return n.HiddenSize / n.NumAttentionHeads }

// inputPositions are int32[B, T]: soft prompts count, padding on the right does
// not matter.
func (n network) inputPositions(x *Node) *Node {
	d := x.Shape().Dimensions
	return Iota(x.Graph(), shapes.Make(dtypes.Int32, d[0], d[1]), 1)
}

// stack runs embeddings float[B, T, D] at positions int32[B, T] through all
// layers: float[B, T, D].
func (n network) stack(p layers.Params, x, positions *Node, attend attend) *Node {
	p = p.At(decoder)
	if n.projected() {
		x = layers.Linear(p.At("project_in"), x)
	}
	x = Add(x, layers.Embedding(p.At("embed_positions"), AddScalar(positions, positionOffset)))
	for i := range n.NumHiddenLayers {
		x = n.layer(p.At(fmt.Sprintf("layers.%d", i)), i, x, attend)
	}
	if n.finalNorm() {
		x = layers.LayerNorm(p.At("final_layer_norm"), x, epsilon)
	}
	if n.projected() {
		x = layers.Linear(p.At("project_out"), x)
	}
	return x
}

// layer is attention and feed-forward, each normed before or after.
func (n network) layer(p layers.Params, index int, x *Node, attend attend) *Node {
	x = n.sublayer(p.At("self_attn_layer_norm"), x, func(x *Node) *Node {
		head := func(name string) *Node {
			return layers.SplitHeads(layers.Linear(p.At("self_attn."+name), x), n.NumAttentionHeads)
		}
		y := attend(index, head("q_proj"), head("k_proj"), head("v_proj"))
		return layers.Linear(p.At("self_attn.out_proj"), layers.MergeHeads(y))
	})
	return n.sublayer(p.At("final_layer_norm"), x, func(x *Node) *Node {
		return layers.Linear(p.At("fc2"), layers.Activation(n.ActivationFunction, layers.Linear(p.At("fc1"), x)))
	})
}

// sublayer adds f of x to x: pre-norm x + f(norm(x)), post-norm norm(x + f(x)).
func (n network) sublayer(norm layers.Params, x *Node, f func(x *Node) *Node) *Node {
	if n.preNorm() {
		return Add(x, f(layers.LayerNorm(norm, x, epsilon)))
	}
	return layers.LayerNorm(norm, Add(x, f(x)), epsilon)
}
