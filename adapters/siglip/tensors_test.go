package siglip_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/vision/visiontest"
	"github.com/modular-bridging/bridge/adapters/siglip"
)

func TestEveryTensorIsAccountedFor(t *testing.T) {
	visiontest.Tensors(t, siglip.Family(), "golden-alone",
		"vision_model.encoder.layers.N.self_attn.k_proj.bias",
		"encoder.layers.N.self_attn.k_proj.bias")
}
