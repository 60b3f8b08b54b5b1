// Package eva owns the family of EVA-CLIP's vision transformers in the form of BLIP-2: the
// configuration, tensor names and network of model_type "blip_2_vision_model", alone or in a
// whole BLIP-2 folder. It must not know what reads the features.
//
// The class token stands before the patches and positions are added: that is hidden state 0.
// One matrix makes queries, keys and values; the bias of the keys is zero in every checkpoint.
// N = 1 + (H/patch)·(W/patch). Features do not pass post_layernorm, which belongs to the
// bridge. ViT-g has 39 blocks here, because the last of EVA's 40 is left out. The reference is
// transformers' Blip2VisionModel (models/blip_2/modeling_blip_2.py). Package
// adapters/internal/vision owns the open encoder.
package eva

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/vision"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/preprocess"
	"github.com/modular-bridging/bridge/internal/weights"
)

// modelType is the value of model_type that the family reads.
const modelType = "blip_2_vision_model"

// defaultLayer selects the last block's output.
const defaultLayer = -1

// Family returns the family "eva".
func Family() adapters.Family { return vision.Family("eva", read, modelType) }

// config is Blip2VisionConfig.
type config struct {
	vision.Config
	QKVBias bool `json:"qkv_bias"`
}

func readConfig(f *weights.Folder) (config, error) {
	c := config{QKVBias: true, Config: vision.Config{
		Width: 1408, Inner: 6144, Blocks: 39, Heads: 16, Channels: 3, Image: 224, Patch: 14,
		Activation: "gelu", Epsilon: 1e-6,
	}}
	if f.ModelType() != modelType {
		return c, vision.WrongType(f, "eva", modelType)
	}
	if err := f.DecodeConfig(&c); err != nil {
		return c, err
	}
	if err := c.Check(); err != nil {
		return c, vision.ConfigError(f, err)
	}
	return c, nil
}

func read(f *weights.Folder) (*vision.Tower, error) {
	c, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	images, err := preprocess.Default(preprocess.BLIP, int(c.Image))
	if err != nil {
		return nil, err
	}
	return &vision.Tower{
		Config: c.Config, Special: 1, Layer: defaultLayer, Processor: preprocess.BLIP, Images: images,
		Positions: c.PositionTable(&vision.TensorSpecs{}, positions, true, 1),
		Tensors:   c.tensorSpecs,
		Unused:    unused(),
		Embed:     c.embed,
		Block:     c.block,
	}, nil
}

// The names of tensors.
const (
	class     = "embeddings.class_embedding"
	patches   = "embeddings.patch_embedding"
	positions = "embeddings.position_embedding"
	layer     = "encoder.layers.%d"
)

// tensorSpecs lists the tensors of the embeddings and of the first blocks blocks.
func (c config) tensorSpecs(blocks int) []weights.TensorSpec {
	w := &vision.TensorSpecs{}
	w.Add(class, []int{1, 1, c.Width})
	w.AddAffine(patches, c.PatchShape())
	for i := range blocks {
		block := fmt.Sprintf(layer, i)
		w.Add(block+".self_attn.qkv.weight", []int{3 * c.Width, c.Width})
		if c.QKVBias {
			w.Add(block+".self_attn.qkv.bias", []int{3 * c.Width})
		}
		w.AddAffine(block+".self_attn.projection", []int{c.Width, c.Width})
		w.AddAffine(block+".layer_norm1", []int{c.Width})
		c.AddMLP(w, block+".mlp")
		w.AddAffine(block+".layer_norm2", []int{c.Width})
	}
	return w.List
}

// unused lists the tensors that the file may hold and the encoder does not read.
func unused() weights.UnusedList {
	const reason = "the norm belongs to the bridge; features do not pass it"
	return weights.UnusedList{{Name: "post_layernorm.weight", Reason: reason}, {Name: "post_layernorm.bias", Reason: reason}}
}

// embed builds hidden state 0: float32[B, H, W, 3] → float[B, N, D].
func (c config) embed(p layers.Params, pixels *Node) *Node {
	x := vision.WithClass(p.Get(class), c.PatchEmbedding(p.At(patches), pixels))
	return vision.AddPositions(p, positions, x)
}

// block is Blip2EncoderLayer: float[B, N, D] → float[B, N, D].
func (c config) block(p layers.Params, index int, x *Node) *Node {
	p = p.At(fmt.Sprintf(layer, index))
	x = c.Residual(p.At("layer_norm1"), x, func(x *Node) *Node {
		qkv := layers.Linear(p.At("self_attn.qkv"), x)
		part := func(i int) *Node { return Slice(qkv, AxisRange(), AxisRange(), AxisRange(i*c.Width, (i+1)*c.Width)) }
		return layers.Linear(p.At("self_attn.projection"), c.SelfAttention(part(0), part(1), part(2)))
	})
	return c.Residual(p.At("layer_norm2"), x, func(x *Node) *Node { return c.MLP(p.At("mlp"), x) })
}
