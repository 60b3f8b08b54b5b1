package gemma2_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/gemma2"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
)

func TestEveryTensorIsAccountedFor(t *testing.T) {
	lmtest.Tensors(t, gemma2.Family(), "golden-alternating")
}
