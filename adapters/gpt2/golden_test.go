package gpt2_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/gpt2"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, gpt2.Open) }
