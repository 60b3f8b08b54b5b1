package opt_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/opt"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, opt.Open) }

func TestLogProbsAgainstTransformers(t *testing.T) { lmtest.LogProbs(t, opt.Open, preNorm) }
