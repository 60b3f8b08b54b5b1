package t5_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/t5"
)

func TestEveryTensorIsAccountedFor(t *testing.T) { lmtest.Tensors(t, t5.Family(), "golden-flan") }
