package t5_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters/t5"
	"github.com/modular-bridging/bridge/internal/lm/lmtest"
)

func TestGoldenCases(t *testing.T) { lmtest.Golden(t, t5.Open) }
