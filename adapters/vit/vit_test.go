package vit_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/vision/visiontest"
	"github.com/modular-bridging/bridge/adapters/vit"
	"github.com/modular-bridging/bridge/internal/backends"
)

const (
	quick = "testdata/golden-quick-gelu/checkpoint"
	whole = "testdata/golden-whole-clip/checkpoint"
)

func TestGolden(t *testing.T) { visiontest.Golden(t, vit.Family(), 6) }

func TestContract(t *testing.T) { visiontest.Contract(t, vit.Family(), quick) }

func TestSpec(t *testing.T) {
	layer := -1
	got := visiontest.Open(t, vit.Family(), &adapters.LoadRequest{Checkpoint: quick, ID: "clip", FeatureLayer: &layer}).Spec()
	if !strings.HasPrefix(got.Digest, "sha256:") {
		t.Errorf("digest is %q, want sha256:…", got.Digest)
	}
	got.Digest = ""
	want := adapters.VisionSpec{
		Spec: adapters.Spec{
			ID: "clip", Family: "vit", Kind: adapters.KindVision, Width: 32, DType: adapters.Float32,
			Parameters: 32201 - 9, MemoryBytes: 4 * (32201 - 9), Backend: backends.TestName(), Source: quick,
		},
		Tokens: 10, Patch: 8, Layer: -1,
		Image: adapters.ImageSpec{Width: 24, Height: 24, Resample: "bicubic", Mode: "shortest-edge-crop",
			Mean: [3]float32{0.48145466, 0.4578275, 0.40821073}, Std: [3]float32{0.26862954, 0.26130258, 0.27577711}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("spec is\n%+v, want\n%+v", got, want)
	}
	squashed := visiontest.Open(t, vit.Family(), &adapters.LoadRequest{Checkpoint: "testdata/golden-bfloat16/checkpoint"}).Spec()
	if squashed.Image.Mode != "squash" || squashed.ID != "checkpoint" || squashed.Layer != -2 {
		t.Errorf("mode, id, layer are %s, %s, %d, want squash, checkpoint, -2", squashed.Image.Mode, squashed.ID, squashed.Layer)
	}
}

// The first whole CLIPs have vision_config_dict, which goes over vision_config
// with the defaults of what it leaves out.
func TestFirstConfigs(t *testing.T) {
	dict := map[string]any{"hidden_size": 48, "image_size": 64, "patch_size": 8}
	for _, c := range []struct {
		value any
		width int
		tail  int // tokens
	}{{nil, 32, 17}, {dict, 48, 65}, {map[string]any{}, 768, 50}} {
		spec, err := vit.Family().DescribeVision(visiontest.Edited(t, whole, visiontest.Edit{Key: "vision_config_dict", Value: c.value}))
		if err != nil || spec.Width != c.width || spec.Tokens != c.tail {
			t.Errorf("%v: width %d, %d tokens, %v; want %d and %d", c.value, spec.Width, spec.Tokens, err, c.width, c.tail)
		}
	}
}

func TestRefused(t *testing.T) {
	const class = "vision_model.embeddings.class_embedding"
	visiontest.Refuses(t, vit.Family(), quick,
		visiontest.Edit{Key: "model_type", Value: "siglip_vision_model", Kind: adapters.Unsupported, Message: `model_type is "siglip_vision_model", family vit reads`},
		visiontest.Edit{Key: "hidden_act", Value: "mish", Kind: adapters.Unsupported, Message: `hidden_act is "mish", want one of`},
		visiontest.Edit{Key: "hidden_size", Value: "32", Kind: adapters.Corrupt, Message: `hidden_size is "32", want a whole number`},
		visiontest.Edit{Key: "hidden_size", Value: 0, Kind: adapters.Unsupported, Message: "hidden_size is 0, want a positive number"},
		visiontest.Edit{Key: "hidden_size", Value: 48, Kind: adapters.Corrupt, Message: "[32], want [48]"},
		visiontest.Edit{Key: "num_attention_heads", Value: 5, Kind: adapters.Unsupported, Message: "not a multiple of num_attention_heads 5"},
		visiontest.Edit{Key: "num_channels", Value: 1, Kind: adapters.Unsupported, Message: "num_channels is 1, want 3"},
		visiontest.Edit{Key: "patch_size", Value: 25, Kind: adapters.Unsupported, Message: "image_size 24 is less than patch_size 25"},
		visiontest.Edit{Key: "patch_size", Value: []int{8, 4}, Kind: adapters.Unsupported, Message: "[8 4], want a square"},
		visiontest.Edit{Key: "image_size", Value: 32, Kind: adapters.Unsupported, Message: "has 10 positions, but image_size 32 in patches of 8 needs 17"},
		visiontest.Edit{Key: "layer_norm_eps", Value: 0, Kind: adapters.Unsupported, Message: "layer_norm_eps is 0"},
		visiontest.Edit{Key: "num_hidden_layers", Value: 4, Kind: adapters.Corrupt, Message: "encoder.layers.3.self_attn.q_proj.weight is missing, want [32, 32]"},
		visiontest.Edit{Key: "num_hidden_layers", Value: 2, Kind: adapters.Corrupt, Message: "vision_model.encoder.layers.2.layer_norm1.bias F32[32] is not part of the model"},
		visiontest.Edit{Rename: map[string]string{class: ""}, Kind: adapters.Corrupt, Message: "embeddings.class_embedding is missing, want [32]"},
		visiontest.Edit{Rename: map[string]string{"vision_model.post_layernorm.bias": "head.weight"}, Kind: adapters.Corrupt, Message: "head.weight F32[32] is not part of the model"},
		visiontest.Edit{Rename: map[string]string{"vision_model.post_layernorm.bias": "text_model.x"}, Kind: adapters.Corrupt, Message: "text_model.x F32[32] is not part of the model"},
	)
}

func TestFeatureLayers(t *testing.T) {
	for _, layer := range []int{-5, 4} {
		_, err := vit.Family().OpenVision(t.Context(), &adapters.LoadRequest{Checkpoint: quick, FeatureLayer: &layer})
		if adapters.KindOf(err) != adapters.Invalid {
			t.Errorf("layer %d: error %v, want kind invalid", layer, err)
		}
	}
}

func TestPicturesSmallerThanAPatch(t *testing.T) {
	_, err := vit.Family().OpenVision(t.Context(), &adapters.LoadRequest{Checkpoint: quick, ImageSize: adapters.Size{Width: 24, Height: 7}})
	if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "smaller than a patch of 8") {
		t.Errorf("error %v, want that pictures are too small", err)
	}
}
