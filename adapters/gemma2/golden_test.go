package gemma2_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/gemma2"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, gemma2.Open) }
