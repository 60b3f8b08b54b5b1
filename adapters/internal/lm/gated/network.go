package gated

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/layers"
)

// body builds everything of a block except attention.
type body struct {
	Variant
	decoder.Weights
}

var _ decoder.Body = body{}

// Embed returns float[..., D].
func (b body) Embed(p layers.Params, ids *Node) *Node {
	x := b.Weights.Embed(p, ids)
	if b.EmbedScale != 0 {
		x = MulScalar(x, b.EmbedScale)
	}
	return x
}

// Enter returns the embeddings unchanged, because positions rotate heads.
func (b body) Enter(_ layers.Params, x, _ *Node) *Node { return x }

// Block computes attention and the gated feed-forward.
func (b body) Block(p layers.Params, index int, x *Node, attend decoder.Attend) *Node {
	p = b.At(p, fmt.Sprintf("layers.%d", index))
	beforeAttention, afterAttention, beforeMLP, afterMLP := b.norms()
	x = b.sublayer(p, beforeAttention, afterAttention, x, func(x *Node) *Node { return b.attention(p.At("self_attn"), x, attend) })
	return b.sublayer(p, beforeMLP, afterMLP, x, func(x *Node) *Node { return b.feedForward(p.At("mlp"), x) })
}

// Leave applies the final norm.
func (b body) Leave(p layers.Params, x *Node) *Node { return b.norm(b.At(p, "norm"), x) }

// Logits applies the head, and soft-caps the logits if the model does.
func (b body) Logits(p layers.Params, states *Node) *Node {
	return layers.SoftCap(b.Weights.Logits(p, states), b.FinalCap)
}

// sublayer returns x + after(f(before(x))). A norm without a name is left out.
func (b body) sublayer(p layers.Params, before, after string, x *Node, f func(x *Node) *Node) *Node {
	y := f(b.norm(p.At(before), x))
	if after != "" {
		y = b.norm(p.At(after), y)
	}
	return Add(x, y)
}

func (b body) attention(p layers.Params, x *Node, attend decoder.Attend) *Node {
	heads := func(name string, n int) *Node { return layers.SplitHeads(layers.Linear(p.At(name), x), n) }
	q, k, v := heads("q_proj", b.NumAttentionHeads), heads("k_proj", b.kvHeads()), heads("v_proj", b.kvHeads())
	if b.QKNorm {
		q, k = b.norm(p.At("q_norm"), q), b.norm(p.At("k_norm"), k)
	}
	return layers.Linear(p.At("o_proj"), layers.MergeHeads(attend(q, k, v)))
}

func (b body) feedForward(p layers.Params, x *Node) *Node {
	gate := layers.Activation(b.HiddenAct, layers.Linear(p.At("gate_proj"), x))
	return layers.Linear(p.At("down_proj"), Mul(gate, layers.Linear(p.At("up_proj"), x)))
}

func (b body) norm(p layers.Params, x *Node) *Node {
	if b.NormPlus1 {
		return layers.RMSNormPlusOne(p, x, b.RMSNormEps)
	}
	return layers.RMSNorm(p, x, b.RMSNormEps)
}
