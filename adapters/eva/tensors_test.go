package eva_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/eva"
	"github.com/modular-bridging/bridge/adapters/internal/vision/visiontest"
)

func TestEveryTensorIsAccountedFor(t *testing.T) {
	visiontest.Tensors(t, eva.Family(), "golden-alone")
}
