package siglip_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/vision/visiontest"
	"github.com/modular-bridging/bridge/adapters/siglip"
)

const (
	alone = "testdata/golden-alone/checkpoint"
	whole = "testdata/golden-whole/checkpoint"
)

func TestGolden(t *testing.T) { visiontest.Golden(t, siglip.Family(), 5) }

func TestContract(t *testing.T) { visiontest.Contract(t, siglip.Family(), alone) }

// A missing key of config.json has the default of SiglipVisionConfig; google/siglip-base has
// none of the keys. The parameter counts leave out post_layernorm and the head. 384 pixels are
// not a multiple of 14: the remainder is cut off.
func TestDescribed(t *testing.T) {
	for _, c := range []struct {
		vision       map[string]any
		width, count int
		parameters   int64
	}{
		{map[string]any{}, 768, 196, 85_795_584},
		{map[string]any{"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 384, "patch_size": 14},
			1152, 729, 412_984_944},
	} {
		dir := visiontest.Edited(t, "testdata/golden-without-processor/checkpoint", visiontest.Edit{Key: "vision_config", Value: c.vision})
		spec, err := siglip.Family().DescribeVision(dir)
		if err != nil || spec.Width != c.width || spec.Tokens != c.count || spec.Parameters != c.parameters {
			t.Errorf("%v: %d wide, %d tokens, %d parameters, %v; want %+v", c.vision, spec.Width, spec.Tokens, spec.Parameters, err, c)
		}
	}
}

func TestSpec(t *testing.T) {
	spec, err := siglip.Family().DescribeVision(whole)
	half := [3]float32{0.5, 0.5, 0.5}
	want := adapters.ImageSpec{Width: 20, Height: 20, Resample: "bilinear", Mode: "squash", Mean: half, Std: half}
	if err != nil || spec.Image != want || spec.Layer != -1 {
		t.Errorf("spec %+v, %v; want pictures as %+v", spec, err, want)
	}
}

func TestRefused(t *testing.T) {
	visiontest.Refuses(t, siglip.Family(), alone,
		visiontest.Edit{Key: "model_type", Value: "siglip2_vision_model", Kind: adapters.Unsupported, Message: `"siglip2_vision_model" is SigLIP 2 NaFlex`},
		visiontest.Edit{Key: "model_type", Value: "siglip2", Kind: adapters.Unsupported, Message: `"siglip2" is SigLIP 2 NaFlex`},
		visiontest.Edit{Key: "num_patches", Value: 256, Kind: adapters.Unsupported, Message: "NaFlex, whose pictures keep their shape"},
		visiontest.Edit{Key: "model_type", Value: "clip", Kind: adapters.Unsupported, Message: `model_type is "clip", family siglip reads`},
		visiontest.Edit{Key: "hidden_act", Value: "mish", Kind: adapters.Unsupported, Message: `hidden_act is "mish"`},
		visiontest.Edit{Key: "num_hidden_layers", Value: 1, Kind: adapters.Corrupt, Message: "encoder.layers.1.layer_norm1.bias F32[24] is not part of the model"},
		visiontest.Edit{Key: "image_size", Value: 48, Kind: adapters.Unsupported, Message: "has 16 positions, but image_size 48 in patches of 7 needs 36"},
		visiontest.Edit{Rename: map[string]string{"embeddings.patch_embedding.bias": ""}, Kind: adapters.Corrupt, Message: "embeddings.patch_embedding.bias is missing, want [24]"},
		visiontest.Edit{Rename: map[string]string{"head.probe": "logit_bias"}, Kind: adapters.Corrupt, Message: "logit_bias F32[1, 1, 24] is not part of the model"},
	)
	visiontest.Refuses(t, siglip.Family(), "testdata/golden-without-processor/checkpoint",
		visiontest.Edit{Key: "vision_config.model_type", Value: "siglip2_vision_model", Kind: adapters.Unsupported, Message: "NaFlex"},
		visiontest.Edit{Rename: map[string]string{"vision_model.head.probe": "vision_probe"}, Kind: adapters.Corrupt, Message: "vision_probe"},
	)
}
