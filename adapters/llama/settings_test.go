package llama_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/llama"
)

func TestGenerationSettings(t *testing.T) { lmtest.GenerationSettings(t, llama.Open, llama3) }
