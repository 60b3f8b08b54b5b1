package vision

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// Residual returns x + f(norm(x)), one half of a pre-norm block.
func (c Config) Residual(norm layers.Params, x *Node, f func(x *Node) *Node) *Node {
	return Add(x, f(layers.LayerNorm(norm, x, c.Epsilon)))
}

// SelfAttention computes multi-head self-attention over all tokens, scaled by 1/√Dh,
// without the output projection: q, k, v and the result are float[B, N, D].
func (c Config) SelfAttention(q, k, v *Node) *Node {
	split := func(x *Node) *Node { return layers.SplitHeads(x, c.Heads) }
	return layers.MergeHeads(layers.Attention(split(q), split(k), split(v), layers.AttentionOptions{}))
}

// MLP returns fc2(activation(fc1(x))) with p's "fc1" and "fc2".
func (c Config) MLP(p layers.Params, x *Node) *Node {
	return layers.Linear(p.At("fc2"), layers.Activation(c.Activation, layers.Linear(p.At("fc1"), x)))
}

// AddMLP appends the weights of [Config.MLP].
func (c Config) AddMLP(w *TensorSpecs, name string) {
	w.AddAffine(name+".fc1", []int{c.Inner, c.Width})
	w.AddAffine(name+".fc2", []int{c.Width, c.Inner})
}

// CLIPBlock computes transformers' CLIPEncoderLayer, which SigLIP shares:
// float[B, N, D] → float[B, N, D].
func (c Config) CLIPBlock(p layers.Params, x *Node) *Node {
	x = c.Residual(p.At("layer_norm1"), x, func(x *Node) *Node {
		p := p.At("self_attn")
		linear := func(name string) *Node { return layers.Linear(p.At(name), x) }
		return layers.Linear(p.At("out_proj"), c.SelfAttention(linear("q_proj"), linear("k_proj"), linear("v_proj")))
	})
	return c.Residual(p.At("layer_norm2"), x, func(x *Node) *Node { return c.MLP(p.At("mlp"), x) })
}

// AddCLIPBlock appends the weights of [Config.CLIPBlock].
func (c Config) AddCLIPBlock(w *TensorSpecs, name string) {
	for _, part := range []string{"q_proj", "k_proj", "v_proj", "out_proj"} {
		w.AddAffine(name+".self_attn."+part, []int{c.Width, c.Width})
	}
	w.AddAffine(name+".layer_norm1", []int{c.Width})
	c.AddMLP(w, name+".mlp")
	w.AddAffine(name+".layer_norm2", []int{c.Width})
}
