package vit_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/vision/visiontest"
	"github.com/modular-bridging/bridge/adapters/vit"
)

func TestEveryTensorIsAccountedFor(t *testing.T) {
	visiontest.Tensors(t, vit.Family(), "golden-quick-gelu",
		"vision_model.encoder.layers.N.self_attn.k_proj.bias",
		"encoder.layers.N.self_attn.k_proj.bias")
}
