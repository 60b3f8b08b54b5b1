package gpt2

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/layers"
)

// body builds everything of the network except attention (transformers,
// models/gpt2/modeling_gpt2.py).
type body struct {
	config
	decoder.Weights
}

var _ decoder.Body = body{}

// Enter adds learned positions.
func (b body) Enter(p layers.Params, x, positions *Node) *Node {
	learned := layers.Embedding(b.At(p, "wpe"), positions)
	return Add(x, BroadcastToDims(learned, x.Shape().Dimensions...))
}

// Block computes attention and feed-forward, each with a norm before it.
func (b body) Block(p layers.Params, index int, x *Node, attend decoder.Attend) *Node {
	p = b.At(p, fmt.Sprintf("h.%d", index))
	x = Add(x, b.attention(p.At("attn"), b.norm(p.At("ln_1"), x), attend))
	y := layers.Activation(b.ActivationFunction, layers.LinearTransposed(p.At("mlp.c_fc"), b.norm(p.At("ln_2"), x)))
	return Add(x, layers.LinearTransposed(p.At("mlp.c_proj"), y))
}

// attention computes queries, keys and values with one linear map.
func (b body) attention(p layers.Params, x *Node, attend decoder.Attend) *Node {
	all := layers.LinearTransposed(p.At("c_attn"), x)
	heads := func(i int) *Node {
		return layers.SplitHeads(Slice(all, AxisRange(), AxisRange(), AxisRange(i*b.Width, (i+1)*b.Width)), b.Heads)
	}
	return layers.LinearTransposed(p.At("c_proj"), layers.MergeHeads(attend(heads(0), heads(1), heads(2))))
}

// Leave applies the final norm.
func (b body) Leave(p layers.Params, x *Node) *Node { return b.norm(b.At(p, "ln_f"), x) }

func (b body) norm(p layers.Params, x *Node) *Node { return layers.LayerNorm(p, x, b.LayerNormEpsilon) }
