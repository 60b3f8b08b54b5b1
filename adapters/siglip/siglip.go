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
		Unused:    unused(f.ModelType()),
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

// unused lists the tensors that the file may hold and the encoder does not read.
func unused(modelType string) weights.UnusedList {
	list := weights.UnusedList{
		{Name: "post_layernorm.weight", Reason: "features do not pass the final norm"},
		{Name: "post_layernorm.bias", Reason: "features do not pass the final norm"},
		{Name: "embeddings.position_ids", Reason: "the numbers 0, 1, 2, …; older files hold them"},
	}
	for _, name := range []string{"probe", "attention.in_proj_weight", "attention.in_proj_bias", "attention.out_proj.weight", "attention.out_proj.bias",
		"layernorm.weight", "layernorm.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias"} {
		list = append(list, weights.Unused{Name: "head." + name, Reason: "features do not pass the head that pools them"})
	}
	list = vision.WithPrefixes(prefixes(), list)
	if modelType == whole {
		list = append(list, vision.UnusedOfWhole("SigLIP")...)
		list = append(list, weights.Unused{Name: "logit_bias", Reason: "the bias of pairs of picture and text"})
	}
	return list
}
