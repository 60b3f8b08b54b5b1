package dinov2_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/dinov2"
	"github.com/modular-bridging/bridge/adapters/internal/vision/visiontest"
)

func TestEveryTensorIsAccountedFor(t *testing.T) {
	visiontest.Tensors(t, dinov2.Family(), "golden-registers",
		"encoder.layer.N.attention.attention.key.bias",
		"encoder.layer.N.attention.k_proj.bias",
		"dinov2.encoder.layer.N.attention.attention.key.bias",
		"dinov2_with_registers.encoder.layer.N.attention.attention.key.bias")
}
