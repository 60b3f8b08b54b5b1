// Package siglip owns the family of SigLIP's vision transformers: the configuration, tensor
// names and network of model_type "siglip_vision_model", and of the vision side of "siglip".
// SigLIP 2 of fixed resolution is saved as "siglip" too. Its NaFlex models, "siglip2", keep the
// aspect ratio of pictures and are refused. The package must not know what reads the features.
//
// There is no class token: N = (H/patch)·(W/patch), and pixels beyond the last whole patch are
// ignored. Hidden state 0 is patches and positions; blocks are CLIP's. Features do not pass
// post_layernorm or the pooling head. The reference is transformers' SiglipVisionModel
// (models/siglip/modeling_siglip.py). Package adapters/internal/vision owns the open encoder.
package siglip

import (
	"fmt"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/vision"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/preprocess"
	"github.com/modular-bridging/bridge/internal/weights"
)

// The values of model_type that the family knows.
const (
	visionOnly   = "siglip_vision_model"
	whole        = "siglip"               // with a text side, which is left out
	naFlex       = "siglip2"              // refused, with a reason
	naFlexVision = "siglip2_vision_model" // refused, with a reason
)

// defaultLayer selects the last block's output.
const defaultLayer = -1

// Family returns the family "siglip".
func Family() adapters.Family {
	f := vision.Family("siglip", read, visionOnly, whole)
	f.Refused = []string{naFlex, naFlexVision}
	return f
}

// config holds the keys of SiglipVisionConfig, and those that identify
// Siglip2VisionConfig.
type config struct {
	vision.Config
	ModelType string `json:"model_type"`
	Patches   *int   `json:"num_patches"` // NaFlex's
}

func readConfig(f *weights.Folder) (vision.Config, error) {
	c := config{Config: vision.Config{
		Width: 768, Inner: 3072, Blocks: 12, Heads: 12, Channels: 3, Image: 224, Patch: 16,
		Activation: "gelu_pytorch_tanh", Epsilon: 1e-6,
	}}
	var err error
	switch f.ModelType() {
	case visionOnly:
		err = f.DecodeConfig(&c)
	case whole:
		err = f.DecodeConfig(&struct {
			Vision *config `json:"vision_config"`
		}{&c})
	case naFlex, naFlexVision:
		err = refuseNaFlex(f, f.ModelType())
	default:
		err = vision.WrongType(f, "siglip", visionOnly, whole)
	}
	if err != nil {
		return c.Config, err
	}
	if c.ModelType == naFlexVision || c.Patches != nil {
		return c.Config, refuseNaFlex(f, naFlexVision)
	}
	if err := c.Check(); err != nil {
		return c.Config, vision.ConfigError(f, err)
	}
	return c.Config, nil
}

func refuseNaFlex(f *weights.Folder, modelType string) error {
	return adapters.Errorf(adapters.Unsupported, "%s: %s %q is SigLIP 2 NaFlex, whose pictures keep their shape (spatial_shapes), want one size for all",
		f.Path("config.json"), f.ConfigKey("model_type"), modelType).
		WithRemedy("use a SigLIP 2 checkpoint of fixed resolution, such as google/siglip2-so400m-patch16-384 (model_type %q)", whole)
}

func read(f *weights.Folder) (*vision.Tower, error) {
	c, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	images, err := preprocess.Default(preprocess.SigLIP, int(c.Image))
	if err != nil {
		return nil, err
	}
	return &vision.Tower{
		Config: c, Layer: defaultLayer, Processor: preprocess.SigLIP, Images: images,
		Positions: c.PositionTable(&vision.TensorSpecs{Prefixes: prefixes()}, positions, false),
		Tensors:   func(blocks int) []weights.TensorSpec { return tensorSpecs(c, blocks) },
		Ignore:    ignored(f.ModelType()),
		Embed: func(p layers.Params, pixels *Node) *Node {
			return vision.AddPositions(p, positions, c.PatchEmbedding(p.At(patches), pixels))
		},
		Block: func(p layers.Params, index int, x *Node) *Node {
			return c.CLIPBlock(p.At(fmt.Sprintf(block, index)), x)
		},
	}, nil
}

// The names of tensors.
const (
	patches   = "embeddings.patch_embedding"
	positions = "embeddings.position_embedding.weight"
	block     = "encoder.layers.%d"
)

// prefixes stand before the names in some checkpoints.
func prefixes() []string { return []string{"vision_model."} }

// tensorSpecs lists the tensors of the embeddings and of the first blocks blocks.
func tensorSpecs(c vision.Config, blocks int) []weights.TensorSpec {
	w := &vision.TensorSpecs{Prefixes: prefixes()}
	w.AddAffine(patches, c.PatchShape())
	for i := range blocks {
		c.AddCLIPBlock(w, fmt.Sprintf(block, i))
	}
	return w.List
}

// ignored reports the tensors that a checkpoint may hold beside those of the
// blocks: final norm and pooling head, which features do not pass, position ids
// of older files, a classifier, and a whole SigLIP's text side.
func ignored(modelType string) func(name string) bool {
	return func(name string) bool {
		inner := strings.TrimPrefix(name, prefixes()[0])
		if strings.HasPrefix(inner, "post_layernorm.") || strings.HasPrefix(inner, "head.") || inner == "embeddings.position_ids" {
			return true
		}
		if modelType != whole {
			return false
		}
		switch name {
		case "logit_scale", "logit_bias", "classifier.weight", "classifier.bias":
			return true
		}
		return strings.HasPrefix(name, "text_model.")
	}
}
