package t5_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/t5"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, t5.Open) }

func TestLogProbsAgainstTransformers(t *testing.T) {
	lmtest.LogProbs(t, t5.Open, "testdata/golden-flan/checkpoint")
}
