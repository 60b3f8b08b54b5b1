package dinov2_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/dinov2"
	"github.com/modular-bridging/bridge/adapters/internal/vision/visiontest"
)

const (
	own       = "testdata/golden-own-size/checkpoint"
	swiglu    = "testdata/golden-swiglu/checkpoint"
	registers = "testdata/golden-registers/checkpoint"
)

func TestGolden(t *testing.T) { visiontest.Golden(t, dinov2.Family(), 7) }

func TestContract(t *testing.T) {
	visiontest.Contract(t, dinov2.Family(), own)
	visiontest.Contract(t, dinov2.Family(), registers)
}

// Counts are those of transformers' classes without mask token and final norm.
func TestDescribed(t *testing.T) {
	for _, c := range []struct {
		name       string
		config     map[string]any
		tokens     int
		parameters int64
	}{
		{"large", map[string]any{"model_type": "dinov2", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 518},
			1 + 37*37, 304_365_568},
		{"giant", map[string]any{"model_type": "dinov2", "hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24, "image_size": 518, "use_swiglu_ffn": true},
			1 + 37*37, 1_136_476_160},
		{"with registers, all defaults", map[string]any{"model_type": "dinov2_with_registers"}, 1 + 4 + 14*14, 85_818_624},
		{"another ratio", map[string]any{"model_type": "dinov2", "mlp_ratio": 2}, 1 + 16*16, 57_393_408},
	} {
		spec, err := dinov2.Family().DescribeVision(visiontest.Config(t, c.config))
		if err != nil || spec.Tokens != c.tokens || spec.Parameters != c.parameters {
			t.Errorf("%s: %d tokens, %d parameters, %v; want %d and %d", c.name, spec.Tokens, spec.Parameters, err, c.tokens, c.parameters)
		}
	}
}

// DINOv2's own processor cuts 7/8 of the shortest edge; so does what stands in
// for a missing one.
func TestPictures(t *testing.T) {
	want := adapters.ImageSpec{Width: 28, Height: 28, Resample: "bicubic", Mode: "shortest-edge-crop", ShortestEdge: 32,
		Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
	spec, err := dinov2.Family().DescribeVision(registers)
	if err != nil || spec.Image != want || spec.Tokens != 1+3+16 {
		t.Errorf("%+v, %v; want %+v", spec, err, want)
	}
	want.Width, want.Height, want.ShortestEdge = 30, 30, 34
	if spec, err = dinov2.Family().DescribeVision(own); err != nil || spec.Image != want {
		t.Errorf("%+v, %v; want %+v", spec, err, want)
	}
}

func TestRefused(t *testing.T) {
	const block = "encoder.layer.0."
	visiontest.Refuses(t, dinov2.Family(), own,
		visiontest.Edit{Key: "model_type", Value: "dinov3_vit", Kind: adapters.Unsupported, Message: `model_type is "dinov3_vit", family dinov2 reads ["dinov2" "dinov2_with_registers"]`},
		visiontest.Edit{Key: "hidden_act", Value: "mish", Kind: adapters.Unsupported, Message: `hidden_act is "mish"`},
		visiontest.Edit{Key: "mlp_ratio", Value: 0, Kind: adapters.Unsupported, Message: "mlp_ratio is 0"},
		visiontest.Edit{Key: "head_dim", Value: 16, Kind: adapters.Unsupported, Message: "head_dim is 16, want hidden_size / num_attention_heads = 8"},
		visiontest.Edit{Key: "image_size", Value: []int{30, 37}, Kind: adapters.Unsupported, Message: "[30 37], want a square"},
		visiontest.Edit{Key: "image_size", Value: []int{35, 35}, Kind: adapters.Unsupported, Message: "has 17 positions, but image_size 35 in patches of 7 needs 26"},
		visiontest.Edit{Key: "use_swiglu_ffn", Value: true, Kind: adapters.Corrupt, Message: block + "mlp.weights_in.weight is missing, want [64, 24]"},
		visiontest.Edit{Key: "qkv_bias", Value: false, Kind: adapters.Corrupt, Message: block + "attention.attention.key.bias F32[24] is not part of the model"},
		visiontest.Edit{Key: "model_type", Value: "dinov2_with_registers", Kind: adapters.Corrupt, Message: "embeddings.register_tokens is missing, want [1, 4, 24]"},
		visiontest.Edit{Rename: map[string]string{block + "layer_scale2.lambda1": ""}, Kind: adapters.Corrupt, Message: block + "layer_scale2.lambda1 is missing, want [24]"},
	)
	visiontest.Refuses(t, dinov2.Family(), registers,
		visiontest.Edit{Key: "num_register_tokens", Value: -1, Kind: adapters.Unsupported, Message: "num_register_tokens is -1"},
		visiontest.Edit{Key: "num_register_tokens", Value: 2, Kind: adapters.Corrupt, Message: "embeddings.register_tokens is BF16[1, 3, 24], want [1, 2, 24]"},
	)
	visiontest.Refuses(t, dinov2.Family(), swiglu,
		visiontest.Edit{Key: "use_swiglu_ffn", Value: false, Kind: adapters.Corrupt, Message: block + "mlp.fc1.weight is missing, want [96, 24]"},
	)
}
