package llama_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/llama"
)

func TestEveryTensorIsAccountedFor(t *testing.T) { lmtest.Tensors(t, llama.Family(), "golden-llama-3") }
