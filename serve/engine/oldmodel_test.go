package engine

import (
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/workspace"
)

// withoutRows is a language model as an old plugin is: it lacks the capabilities that servers use.
type withoutRows struct{ adapters.LanguageModel }

// Spec leaves out what an old plugin lacks.
func (m withoutRows) Spec() adapters.LanguageSpec {
	s := m.LanguageModel.Spec()
	s.Capabilities = slices.DeleteFunc(slices.Clone(s.Capabilities), func(c adapters.Capability) bool {
		return slices.Contains([]adapters.Capability{adapters.CapRowOptions, adapters.CapCancelRows, adapters.CapStop, adapters.CapLogProbs, adapters.CapTokenCounts}, c)
	})
	return s
}

// oldModel returns the bridge of the tests with a language model that lacks the new capabilities.
func oldModel(t *testing.T) *workspace.Model {
	t.Helper()
	lease, err := bridges.Acquire(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lease.Release)
	return &workspace.Model{Model: &bridge.Model{Bridge: lease.Model.Bridge, Vision: lease.Vision, Language: withoutRows{lease.Language}}}
}
