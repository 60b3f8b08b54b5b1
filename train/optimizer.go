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
		case qformer.PartWords: // see wordsGroup
		case qformer.PartLanguage, qformer.PartResidual:
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

// wordsGroup returns the group of the soft prompts of words and their peak rate. ok is false
// if the bridge has none.
func wordsGroup(b *bridge.Bridge, relative float64) (g optim.Group, peak float64, ok bool) {
	for _, p := range b.Config().Parameters(b.Stage()) {
		if p.Part == qformer.PartWords {
			g.Names = append(g.Names, p.Name)
		}
	}
	if g.Names == nil {
		return g, 0, false
	}
	side := b.Info.Language
	return g, relative * float64(side.TokenNorm) / math.Sqrt(float64(side.Width)), true
}

// peaks are the peak learning rates of an optimizer's groups.
type peaks []float64

// newOptimizer returns the optimizer of a phase. It has two groups for each module:
// parameters that decay and parameters that do not. The soft prompts of words have a group of
// their own.
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
		if m != Projection || phase.Optimizer.Words == 0 {
			continue
		}
		if g, peak, ok := wordsGroup(b, phase.Optimizer.Words); ok {
			groups, rates = append(groups, g), append(rates, peak)
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
