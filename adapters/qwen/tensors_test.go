package qwen_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/qwen"
)

func TestEveryTensorIsAccountedFor(t *testing.T) { lmtest.Tensors(t, qwen.Family(), "golden-qwen2") }
