package llama_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/llama"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, llama.Open) }
