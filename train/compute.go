package train

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/qformer"
)

// qformer returns the bridge's Q-Former for the graph of a training step. It computes in the plan's
// type. Weights, moments, norms, softmaxes and losses are float32 in any case.
func (s *Session) qformer(g *Graph, rng *qformer.RNG) *qformer.Model {
	m := qformer.New(s.Bridge.Config(), s.Bridge.Store(), g, rng).Checkpointing(s.Checkpointing)
	if s.Plan.Compute == adapters.BFloat16 {
		return m.WithDType(dtypes.BFloat16)
	}
	return m
}
