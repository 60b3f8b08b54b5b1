package opt

import (
	"fmt"
	"math"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/layers"
)

// epsilon of every LayerNorm; OPT's config has no key for it.
const epsilon = 1e-5

// body builds everything of the network except attention (transformers,
// models/opt/modeling_opt.py).
type body struct {
	config
	decoder.Weights
}

var _ decoder.Body = body{}

// network returns the model's network.
func (b body) network() decoder.Network {
	headDim := b.HiddenSize / b.NumAttentionHeads
	return decoder.Network{
		Body: b, Heads: b.NumAttentionHeads, KVHeads: b.NumAttentionHeads, HeadDim: headDim,
		Blocks: decoder.Repeat(b.NumHiddenLayers, decoder.BlockAttention{Scale: 1 / math.Sqrt(float64(headDim))}),
	}
}

// Enter projects embeddings if the model does, and adds learned positions.
func (b body) Enter(p layers.Params, x, positions *Node) *Node {
	p = b.At(p, stack)
	if b.projected() {
		x = layers.Linear(p.At("project_in"), x)
	}
	return addPositions(p, x, positions)
}

// Block computes attention and feed-forward, each with a norm before or after it.
func (b body) Block(p layers.Params, index int, x *Node, attend decoder.Attend) *Node {
	p = b.At(p, fmt.Sprintf("%s.layers.%d", stack, index))
	x = b.sublayer(p.At("self_attn_layer_norm"), x, func(x *Node) *Node {
		head := func(name string) *Node {
			return layers.SplitHeads(layers.Linear(p.At("self_attn."+name), x), b.NumAttentionHeads)
		}
		y := attend(head("q_proj"), head("k_proj"), head("v_proj"))
		return layers.Linear(p.At("self_attn.out_proj"), layers.MergeHeads(y))
	})
	return b.sublayer(p.At("final_layer_norm"), x, func(x *Node) *Node {
		return layers.Linear(p.At("fc2"), layers.Activation(b.ActivationFunction, layers.Linear(p.At("fc1"), x)))
	})
}

// sublayer adds f of x to x: pre-norm x + f(norm(x)), post-norm norm(x + f(x)).
func (b body) sublayer(norm layers.Params, x *Node, f func(x *Node) *Node) *Node {
	if b.preNorm() {
		return Add(x, f(layers.LayerNorm(norm, x, epsilon)))
	}
	return layers.LayerNorm(norm, Add(x, f(x)), epsilon)
}

// Leave applies the final norm and the projection back, if the model has them.
func (b body) Leave(p layers.Params, x *Node) *Node {
	p = b.At(p, stack)
	if b.finalNorm() {
		x = layers.LayerNorm(p.At("final_layer_norm"), x, epsilon)
	}
	if b.projected() {
		x = layers.Linear(p.At("project_out"), x)
	}
	return x
}
