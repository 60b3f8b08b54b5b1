package vit

import (
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/checkpoint"
)

// prefix goes before the names in some checkpoints and not in others.
const prefix = "vision_model."

// wants lists the weights of the embeddings and of the first blocks blocks.
func (c config) wants(blocks int) []checkpoint.Want {
	var wants []checkpoint.Want
	add := func(name string, shape ...int) {
		wants = append(wants, checkpoint.Want{Name: name, Shape: shape, Aliases: []string{prefix + name}})
	}
	affine := func(name string, shape ...int) {
		add(name+".weight", shape...)
		add(name+".bias", shape[0])
	}
	add("embeddings.class_embedding", c.Width)
	add("embeddings.patch_embedding.weight", c.Width, channels, c.Patch, c.Patch)
	add("embeddings.position_embedding.weight", c.tokens(), c.Width)
	affine("pre_layrnorm", c.Width) // transformers' spelling
	for i := range blocks {
		block := fmt.Sprintf("encoder.layers.%d.", i)
		for _, part := range []string{"q_proj", "k_proj", "v_proj", "out_proj"} {
			affine(block+"self_attn."+part, c.Width, c.Width)
		}
		affine(block+"layer_norm1", c.Width)
		affine(block+"mlp.fc1", c.Inner, c.Width)
		affine(block+"mlp.fc2", c.Width, c.Inner)
		affine(block+"layer_norm2", c.Width)
	}
	return wants
}

// parameters counts the weights of all blocks.
func (c config) parameters() int64 {
	var n int64
	for _, w := range c.wants(c.Blocks) {
		n += int64(adapters.Elements(w.Shape))
	}
	return n
}

// unused reports the tensors that a checkpoint may hold beside those of the
// blocks: the final norm, which features do not pass, position ids of older
// files, and a whole CLIP's text side.
func unused(modelType string) func(name string) bool {
	return func(name string) bool {
		switch strings.TrimPrefix(name, prefix) {
		case "post_layernorm.weight", "post_layernorm.bias", "embeddings.position_ids":
			return true
		}
		if modelType != wholeCLIP {
			return false
		}
		switch name {
		case "logit_scale", "visual_projection.weight", "text_projection.weight":
			return true
		}
		return strings.HasPrefix(name, "text_model.")
	}
}

// checkPositions explains the one misfit that is a matter of picture size.
func (c config) checkPositions(f *checkpoint.Folder) error {
	for _, name := range []string{"embeddings.position_embedding.weight", prefix + "embeddings.position_embedding.weight"} {
		v, ok := f.Tensor(name)
		if ok && len(v.Shape) == 2 && v.Shape[1] == c.Width && v.Shape[0] != c.tokens() {
			return adapters.Errorf(adapters.Unsupported, "%s: %s has %d positions, but image_size %d in patches of %d needs %d",
				f.Dir(), name, v.Shape[0], c.Image, c.Patch, c.tokens()).
				WithRemedy("position tables are not resized: use the image_size that the weights were made for")
		}
	}
	return nil
}
