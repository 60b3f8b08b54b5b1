package vit

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/layers"
)

// features builds uint8[B, H, W, 3] → float[B, N, D]: hidden state blocks of
// CLIPVisionTransformer, computed in p's dtype.
func (c config) features(p layers.Params, images *Node, spec adapters.ImageSpec, dtype dtypes.DType, blocks int) *Node {
	x := c.embed(p.At("embeddings"), c.normalize(images, spec), dtype)
	x = layers.LayerNorm(p.At("pre_layrnorm"), x, c.Epsilon)
	for i := range blocks {
		x = c.block(p.At(fmt.Sprintf("encoder.layers.%d", i)), x)
	}
	return x
}

// normalize returns (pixel/255 − mean)/std as float32[B, H, W, 3].
func (c config) normalize(images *Node, spec adapters.ImageSpec) *Node {
	g := images.Graph()
	perChannel := func(v [3]float32) *Node { return ExpandLeftToRank(Const(g, v[:]), 4) }
	x := DivScalar(ConvertDType(images, dtypes.Float32), 255)
	return Div(Sub(x, perChannel(spec.Mean)), perChannel(spec.Std))
}

// embed cuts float32[B, H, W, 3] into patches, maps them (a convolution whose
// stride is its size), puts the class token first and adds the positions:
// float[B, N, D].
func (c config) embed(p layers.Params, x *Node, dtype dtypes.DType) *Node {
	batch, side := x.Shape().Dimensions[0], c.Image/c.Patch
	patches := Reshape(x, batch, side, c.Patch, side, c.Patch, channels)
	patches = TransposeAllDims(patches, 0, 1, 3, 5, 2, 4)
	patches = ConvertDType(Reshape(patches, batch, side*side, channels*c.Patch*c.Patch), dtype)
	kernel := Reshape(p.Get("patch_embedding.weight"), c.Width, channels*c.Patch*c.Patch)
	mapped := layers.LinearWith(patches, kernel, nil)
	mapped.AssertDims(batch, side*side, c.Width)

	class := BroadcastToDims(ExpandLeftToRank(p.Get("class_embedding"), 3), batch, 1, c.Width)
	tokens := Concatenate([]*Node{class, mapped}, 1)
	tokens.AssertDims(batch, c.tokens(), c.Width)
	return Add(tokens, ExpandLeftToRank(p.Get("position_embedding.weight"), 3))
}

// block is one pre-norm encoder layer: float[B, N, D] → float[B, N, D].
func (c config) block(p layers.Params, x *Node) *Node {
	h := layers.LayerNorm(p.At("layer_norm1"), x, c.Epsilon)
	attention := p.At("self_attn")
	project := func(name string) *Node { return layers.SplitHeads(layers.Linear(attention.At(name), h), c.Heads) }
	h = layers.Attention(project("q_proj"), project("k_proj"), project("v_proj"), layers.AttentionOptions{})
	x = Add(x, layers.Linear(attention.At("out_proj"), layers.MergeHeads(h)))

	h = layers.LayerNorm(p.At("layer_norm2"), x, c.Epsilon)
	h = layers.Activation(c.Activation, layers.Linear(p.At("mlp.fc1"), h))
	return Add(x, layers.Linear(p.At("mlp.fc2"), h))
}
