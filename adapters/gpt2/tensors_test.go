package gpt2_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/gpt2"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
)

func TestEveryTensorIsAccountedFor(t *testing.T) { lmtest.Tensors(t, gpt2.Family(), "golden-released") }
