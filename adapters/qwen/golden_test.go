package qwen_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/qwen"
	"github.com/modular-bridging/bridge/internal/lm/lmtest"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, qwen.Open) }
