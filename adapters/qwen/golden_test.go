package qwen_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/qwen"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, qwen.Open) }
