package llama_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/llama"
	"github.com/modular-bridging/bridge/internal/lm/lmtest"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, llama.Open) }
