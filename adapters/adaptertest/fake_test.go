package adaptertest

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestFakeVision(t *testing.T) {
	TestVision(t, func() adapters.VisionEncoder { return NewFakeVision("fake", 1) })
}

func TestFakeLanguage(t *testing.T) {
	TestLanguage(t, func() adapters.LanguageModel { return NewFakeLanguage("fake", 1) },
		Options{GradientTolerance: 1e-3})
}
