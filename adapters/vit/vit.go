// Package vit owns the family of CLIP's vision transformers: the configuration, tensor names
// and network of model_type "clip_vision_model", and of the vision side of "clip". It must not
// know what reads the features.
//
// The class token stands before the patches, positions are added, and a norm precedes the
// blocks: that is hidden state 0. N = 1 + (H/patch)·(W/patch). Features do not pass
// post_layernorm. The reference is transformers' CLIPVisionModel (models/clip/modeling_clip.py).
// Package adapters/internal/vision owns the open encoder.
package vit

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/vision"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/preprocess"
	"github.com/modular-bridging/bridge/internal/weights"
)

// defaultLayer is the hidden state that BLIP-2 takes from CLIP's ViT-L.
const defaultLayer = -2

// The values of model_type that the family reads.
const (
	visionOnly = "clip_vision_model"
	wholeCLIP  = "clip" // with a text side, which is left out
)

// Family returns the family "vit".
func Family() adapters.Family { return vision.Family("vit", read, visionOnly, wholeCLIP) }

func read(f *weights.Folder) (*vision.Tower, error) {
	c, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	images, err := preprocess.Default(preprocess.CLIP, int(c.Image))
	if err != nil {
		return nil, err
	}
	return &vision.Tower{
		Config: c, Special: 1, Layer: defaultLayer, Processor: preprocess.CLIP, Images: images,
		Positions: c.PositionTable(&vision.TensorSpecs{Prefixes: prefixes()}, positions, true),
		Tensors:   func(blocks int) []weights.TensorSpec { return tensorSpecs(c, blocks) },
		Unused:    unused(f.ModelType()),
		Embed:     func(p layers.Params, pixels *Node) *Node { return embed(c, p, pixels) },
		Block: func(p layers.Params, index int, x *Node) *Node {
			return c.CLIPBlock(p.At(fmt.Sprintf(block, index)), x)
		},
	}, nil
}

// defaults returns CLIPVisionConfig's defaults: transformers does not save keys that have
// the default.
func defaults() vision.Config {
	return vision.Config{
		Width: 768, Inner: 3072, Blocks: 12, Heads: 12, Channels: 3, Image: 224, Patch: 32,
		Activation: "quick_gelu", Epsilon: 1e-5,
	}
}

func readConfig(f *weights.Folder) (vision.Config, error) {
	c := defaults()
	switch f.ModelType() {
	case visionOnly:
		if err := f.DecodeConfig(&c); err != nil {
			return c, err
		}
	case wholeCLIP:
		if err := decodeWhole(f, &c); err != nil {
			return c, err
		}
	default:
		return c, vision.WrongType(f, "vit", visionOnly, wholeCLIP)
	}
	if err := c.Check(); err != nil {
		return c, vision.ConfigError(f, err)
	}
	return c, nil
}

// decodeWhole reads the vision part of a whole CLIP. Files of the first versions
// have vision_config_dict too, which CLIPConfig puts over it, defaults included.
func decodeWhole(f *weights.Folder, c *vision.Config) error {
	var has struct {
		First *struct{} `json:"vision_config_dict"`
	}
	if err := f.DecodeConfig(&has); err != nil {
		return err
	}
	if has.First != nil {
		return f.DecodeConfig(&struct {
			First *vision.Config `json:"vision_config_dict"`
		}{c})
	}
	return f.DecodeConfig(&struct {
		Vision *vision.Config `json:"vision_config"`
	}{c})
}
