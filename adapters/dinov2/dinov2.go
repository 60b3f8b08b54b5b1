// Package dinov2 owns the family of DINOv2's vision transformers: the configuration, tensor
// names and network of model_type "dinov2" and "dinov2_with_registers". It must not know what
// reads the features.
//
// The class token stands before the patches and positions are added. Registers stand between
// class token and patches and have no positions. That is hidden state 0, of N = 1 + R +
// (H/patch)·(W/patch) tokens. Each half of a block is scaled channel by channel (LayerScale);
// the giant model's feed-forward is a SwiGLU. Features do not pass the final layernorm. The
// position table is for 518 pixels and pictures usually have 224: the table is resized, with
// antialias if there are registers. The reference is transformers' Dinov2Model and
// Dinov2WithRegistersModel (models/dinov2/modeling_dinov2.py and its sibling). Package
// adapters/internal/vision owns the open encoder.
package dinov2

import (
	"math"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/vision"
	"github.com/modular-bridging/bridge/internal/preprocess"
	"github.com/modular-bridging/bridge/internal/weights"
)

// defaultLayer selects the last block's output.
const defaultLayer = -1

// Family returns the family "dinov2".
func Family() adapters.Family { return vision.Family("dinov2", read, plain, withRegisters) }

func read(f *weights.Folder) (*vision.Tower, error) {
	c, err := readConfig(f)
	if err != nil {
		return nil, err
	}
	images, err := images(int(c.Image))
	if err != nil {
		return nil, err
	}
	c.split = c.SwiGLU && gatesApart(f)
	w := &vision.TensorSpecs{Prefixes: prefixes()}
	table := c.PositionTable(w, positions, true, 1)
	table.Antialias = c.antialias
	return &vision.Tower{
		Config: c.Config, Special: 1 + c.Registers, Layer: defaultLayer, Processor: preprocess.BiT, Images: images,
		Positions: table, Tensors: c.tensorSpecs, Unused: append(c.unused(), emptyRegisters(f)...), Embed: c.embed, Block: c.block,
	}, nil
}

// images returns how DINOv2's own repositories prepare pictures, for another size: they
// resize the shortest edge to 256 pixels and crop 224.
func images(side int) (adapters.ImageSpec, error) {
	spec, err := preprocess.Default(preprocess.BiT, side)
	spec.ShortestEdge = int(math.Round(float64(side) * 256 / 224))
	spec.Mean = [3]float32{0.485, 0.456, 0.406} // IMAGENET_DEFAULT_MEAN and _STD
	spec.Std = [3]float32{0.229, 0.224, 0.225}
	return spec, err
}
