package train

import (
	"fmt"
	"math"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train/optim"
)

// names lists the parameters of a module that the bridge has, in a fixed order.
func (m Module) names(b *bridge.Bridge) []string {
	var names []string
	for _, p := range b.Config().Parameters(b.Stage()) {
		switch p.Part {
		case qformer.PartWords, qformer.PartResidual: // see relativeGroups
		case qformer.PartLanguage:
			if m == Projection {
				names = append(names, p.Name)
			}
		default:
			if m == QFormer {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// relativeGroups returns the groups of what a projection in words adds up, and their peak rates:
// the soft prompts of the words, and the residual. They are in the space of the language model's
// token embeddings, so their rates are relative to the root mean square of these. A part with
// rate 0 is not trained.
func relativeGroups(b *bridge.Bridge, o Optimizer) (groups []optim.Group, rates peaks) {
	side := b.Info.Language
	for _, part := range []struct {
		part qformer.Part
		rate float64
	}{{qformer.PartWords, o.Words}, {qformer.PartResidual, o.Residual}} {
		var names []string
		for _, p := range b.Config().Parameters(b.Stage()) {
			if p.Part == part.part {
				names = append(names, p.Name)
			}
		}
		if names != nil && part.rate > 0 {
			groups = append(groups, optim.Group{Names: names})
			rates = append(rates, part.rate*float64(side.TokenNorm)/math.Sqrt(float64(side.Width)))
		}
	}
	return groups, rates
}

// peaks are the peak learning rates of an optimizer's groups.
type peaks []float64

// newOptimizer returns the optimizer of a phase. It has two groups for each module:
// parameters that decay and parameters that do not. A projection in words has
// further ones.
func newOptimizer(b *bridge.Bridge, phase Phase) (*optim.AdamW, peaks, error) {
	var groups []optim.Group
	var rates peaks
	for _, m := range phase.Train {
		peak, ok := phase.Optimizer.LearningRate[m]
		if !ok {
			return nil, nil, fmt.Errorf("the phase trains %s but names no learning rate for it", m)
		}
		names := m.names(b)
		if len(names) == 0 {
			return nil, nil, fmt.Errorf("the phase trains %s, which a bridge of stage %d does not have", m, b.Info.Stage)
		}
		for _, g := range optim.Groups(b.Store(), names) {
			groups, rates = append(groups, g), append(rates, peak)
		}
		if m == Projection {
			more, peaks := relativeGroups(b, phase.Optimizer)
			groups, rates = append(groups, more...), append(rates, peaks...)
		}
	}
	opt, err := optim.New(b.Backend(), b.Store(), groups, phase.Optimizer.Config)
	return opt, rates, err
}

// at returns the learning rate of every group at step n, counted from 0.
func (p peaks) at(n int, s optim.Schedule) []float64 {
	rates := make([]float64, len(p))
	for i, peak := range p {
		rates[i] = s.Rate(peak, n+1)
	}
	return rates
}
