package train

import (
	"fmt"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train/optim"
)

// names lists the parameters of a module that the bridge has, in a fixed order.
func (m Module) names(b *bridge.Bridge) []string {
	var names []string
	for _, p := range b.Config().Parameters(b.Stage()) {
		if (p.Part == qformer.PartLanguage) == (m == Projection) {
			names = append(names, p.Name)
		}
	}
	return names
}

// rates are the learning-rate schedules of an optimizer's groups.
type rates []optim.Schedule

// at returns the rate of every group at step n, counted from 0.
func (r rates) at(n int) []float64 {
	out := make([]float64, len(r))
	for i, s := range r {
		out[i] = s.Rate(n + 1)
	}
	return out
}

// newOptimizer returns the optimizer of a phase. It has two groups for each module:
// parameters with weight decay and parameters without.
func newOptimizer(b *bridge.Bridge, phase Phase) (*optim.AdamW, rates, error) {
	var groups []optim.Group
	var schedules rates
	for _, m := range phase.Train {
		if _, ok := phase.Optimizer.LearningRate[m]; !ok {
			return nil, nil, fmt.Errorf("the phase trains %s but names no learning rate for it", m)
		}
		names := m.names(b)
		if len(names) == 0 {
			return nil, nil, fmt.Errorf("the phase trains %s, which a bridge of stage %d does not have", m, b.Info.Stage)
		}
		for _, g := range optim.Groups(b.Store(), names, phase.Optimizer.WeightDecay) {
			groups = append(groups, g)
			schedules = append(schedules, schedule(phase, m))
		}
	}
	o := phase.Optimizer
	opt, err := optim.New(b.Backend(), b.Store(), groups, optim.Config{Beta1: o.Beta1, Beta2: o.Beta2, Epsilon: o.Epsilon, ClipNorm: o.ClipNorm})
	return opt, schedules, err
}

// schedule returns the learning rates of a module.
func schedule(phase Phase, m Module) optim.Schedule {
	return optim.Schedule{
		Peak: phase.Optimizer.LearningRate[m], Steps: phase.Schedule.Steps, Warmup: phase.Schedule.Warmup, MinFactor: phase.Schedule.MinFactor,
	}
}
