package vit

import (
	"fmt"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters/internal/vision"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/weights"
)

// The names of tensors.
const (
	class     = "embeddings.class_embedding"
	patches   = "embeddings.patch_embedding"
	positions = "embeddings.position_embedding.weight"
	firstNorm = "pre_layrnorm" // transformers' spelling
	block     = "encoder.layers.%d"
)

// prefixes stand before the names in some checkpoints.
func prefixes() []string { return []string{"vision_model."} }

// tensorSpecs lists the tensors of the embeddings and of the first blocks blocks.
func tensorSpecs(c vision.Config, blocks int) []weights.TensorSpec {
	w := &vision.TensorSpecs{Prefixes: prefixes()}
	w.Add(class, []int{c.Width})
	w.Add(patches+".weight", c.PatchShape())
	w.AddAffine(firstNorm, []int{c.Width})
	for i := range blocks {
		c.AddCLIPBlock(w, fmt.Sprintf(block, i))
	}
	return w.List
}

// ignored reports the tensors that a checkpoint may hold beside those of the
// blocks: the final norm, which features do not pass, position ids of older
// files, projections and heads, and a whole CLIP's text side.
func ignored(modelType string) func(name string) bool {
	return func(name string) bool {
		switch strings.TrimPrefix(name, prefixes()[0]) {
		case "post_layernorm.weight", "post_layernorm.bias", "embeddings.position_ids":
			return true
		}
		switch name {
		case "visual_projection.weight":
			return true
		case "logit_scale", "text_projection.weight", "classifier.weight", "classifier.bias":
			return modelType == wholeCLIP
		}
		return modelType == wholeCLIP && strings.HasPrefix(name, "text_model.")
	}
}

// embed builds hidden state 0: float32[B, H, W, 3] → float[B, N, D].
func embed(c vision.Config, p layers.Params, pixels *Node) *Node {
	x := vision.WithClass(p.Get(class), c.PatchEmbedding(p.At(patches), pixels))
	return layers.LayerNorm(p.At(firstNorm), vision.AddPositions(p, positions, x), c.Epsilon)
}
