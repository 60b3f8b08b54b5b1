package vit

import (
	"fmt"

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

// unused lists the tensors that the file may hold and the encoder does not read.
func unused(modelType string) weights.UnusedList {
	list := vision.WithPrefixes(prefixes(), weights.UnusedList{
		{Name: "post_layernorm.weight", Reason: "features do not pass the final norm"},
		{Name: "post_layernorm.bias", Reason: "features do not pass the final norm"},
		{Name: "embeddings.position_ids", Reason: "the numbers 0, 1, 2, …; older files hold them"},
	})
	list = append(list, weights.Unused{Name: "visual_projection.weight", Reason: "features do not pass the projection to the texts' space"})
	if modelType == wholeCLIP {
		list = append(list, vision.UnusedOfWhole("CLIP")...)
		list = append(list, weights.Unused{Name: "text_projection.weight", Reason: "the text side of a whole CLIP"})
	}
	return list
}

// embed builds hidden state 0: float32[B, H, W, 3] → float[B, N, D].
func embed(c vision.Config, p layers.Params, pixels *Node) *Node {
	x := vision.WithClass(p.Get(class), c.PatchEmbedding(p.At(patches), pixels))
	return layers.LayerNorm(p.At(firstNorm), vision.AddPositions(p, positions, x), c.Epsilon)
}
