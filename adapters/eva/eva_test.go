package eva_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/eva"
	"github.com/modular-bridging/bridge/adapters/internal/vision/visiontest"
)

const alone = "testdata/golden-alone/checkpoint"

func TestGolden(t *testing.T) { visiontest.Golden(t, eva.Family(), 5) }

func TestContract(t *testing.T) { visiontest.Contract(t, eva.Family(), alone) }

// A key that is missing has Blip2VisionConfig's default: released files leave
// most of them out.
func TestDefaultsAreThoseOfViTg(t *testing.T) {
	config := visiontest.Edit{Key: "vision_config", Value: map[string]any{"model_type": "blip_2_vision_model"}}
	spec, err := eva.Family().DescribeVision(visiontest.Edited(t, "testdata/golden-retrieval/checkpoint", config))
	if err != nil || spec.Width != 1408 || spec.Parameters != 985_949_440 || spec.Layer != -1 || spec.Patch != 14 {
		t.Errorf("spec %+v, %v; want ViT-g with 985,949,440 parameters", spec, err)
	}
}

func TestSpec(t *testing.T) {
	spec, err := eva.Family().DescribeVision("testdata/golden-blip-2/checkpoint")
	if err != nil || spec.Tokens != 10 || spec.Image.Mode != "squash" || spec.Image.Resample != "bicubic" || spec.Image.Width != 24 {
		t.Errorf("spec %+v, %v", spec, err)
	}
}

func TestRefused(t *testing.T) {
	const block = "encoder.layers.0.self_attn."
	visiontest.Refuses(t, eva.Family(), alone,
		visiontest.Edit{Key: "model_type", Value: "clip_vision_model", Kind: adapters.Unsupported, Message: `model_type is "clip_vision_model", family eva reads ["blip_2_vision_model"]`},
		visiontest.Edit{Key: "hidden_act", Value: "mish", Kind: adapters.Unsupported, Message: `hidden_act is "mish"`},
		visiontest.Edit{Key: "num_attention_heads", Value: 7, Kind: adapters.Unsupported, Message: "num_attention_heads 7"},
		visiontest.Edit{Key: "qkv_bias", Value: false, Kind: adapters.Corrupt, Message: block + "qkv.bias F32[72] is not part of the model"},
		visiontest.Edit{Key: "qkv_bias", Value: "yes", Kind: adapters.Corrupt, Message: "qkv_bias is \"yes\", want true or false"},
		visiontest.Edit{Key: "image_size", Value: 56, Kind: adapters.Unsupported, Message: "has 17 positions, but image_size 56 in patches of 7 needs 65"},
		visiontest.Edit{Rename: map[string]string{block + "qkv.bias": block + "q_bias"}, Kind: adapters.Corrupt, Message: block + "qkv.bias is missing, want [72]"},
		visiontest.Edit{Rename: map[string]string{"post_layernorm.bias": "ln_vision.bias"}, Kind: adapters.Corrupt, Message: "ln_vision.bias F32[24] is not part of the model"},
	)
	visiontest.Refuses(t, eva.Family(), "testdata/golden-retrieval/checkpoint",
		visiontest.Edit{Key: "vision_config.model_type", Value: "clip_vision_model", Kind: adapters.Unsupported, Message: `vision_config.model_type is "clip_vision_model"`},
		visiontest.Edit{Key: "vision_config", Kind: adapters.Corrupt, Message: "want [1, 1, 1408]"},
	)
}
