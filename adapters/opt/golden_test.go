package opt_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/internal/lm/lmtest"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, opt.Open) }
