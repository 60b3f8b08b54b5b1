package recipes

import (
	"slices"

	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/train/cost"
)

// Ladder is the table [ladder] of a matrix: budgets of training, from which the cost of a cold
// start follows. A budget is a number of optimizer steps at the batch of the baseline. Each run
// trains its whole budget with a schedule of its own ([Recipe.WithSteps]). An option with
// another batch takes as many steps as see the same number of examples.
//
// The baseline climbs: it runs with Base, 2·Base, 4·Base … steps, until it has converged or has
// reached Examples. Then it runs between the rungs, a factor of √2 below the smallest one that is
// not inferior to the highest. Package runs/ladder has these rules.
type Ladder struct {
	// Baseline is the option that climbs. Default: the only option with cold = true.
	Baseline string `toml:"baseline"`
	// Base is the lowest budget of the baseline. Default 100.
	Base int `toml:"base"`
	// Examples is the largest number of examples of one run of the baseline. The climb ends
	// there even if the baseline has not converged. Required.
	Examples int `toml:"examples"`
	// LossGain and ExactGain end the climb: a doubling has improved the held-out loss by less
	// than this fraction, and the exact match by less than this difference. Defaults 0.02 and
	// 0.01.
	LossGain  float64 `toml:"loss_gain"`
	ExactGain float64 `toml:"exact_gain"`
	// Plateau is the exact match below which small gains do not end the climb: captions leave
	// objects unnamed there. 0 switches the rule off, for data on which captions are never
	// matched exactly. Default 0.5.
	Plateau float64 `toml:"plateau"`
	// Fractions are the budgets of the other options, as fractions of the baseline's cost C.
	// Default [0.1, 0.2, 0.5, 1].
	Fractions []float64 `toml:"fractions"`
	// Margin and LossRatio are the limits of "not inferior": the interval of the difference in
	// exact match stays above −Margin, and the mean loss is at most LossRatio times the
	// other's. Defaults 0.01 and 1.1.
	Margin    float64 `toml:"margin"`
	LossRatio float64 `toml:"loss_ratio"`
	// Judge names the held-out data that decides what is not inferior, such as "kit:report".
	// The climb always looks at data.eval, so that nothing is chosen by reported data. Default:
	// data.eval.
	Judge string `toml:"judge"`
	// PassSeconds are the seconds of one pass of each kind. A run's seconds are its counts times
	// these; a run that counts a kind without a time has none. Measured once on an idle machine.
	// Only for a matrix with one encoder and one language model. Default: none, and no seconds.
	PassSeconds *cost.Prices `toml:"pass_seconds"`
}

func defaultLadder() *Ladder {
	return &Ladder{Base: 100, LossGain: 0.02, ExactGain: 0.01, Plateau: 0.5, Fractions: []float64{0.1, 0.2, 0.5, 1},
		Margin: 0.01, LossRatio: 1.1}
}

// checkLadder adds the problems of the ladder, and of the options' keys about it.
func (m *Matrix) checkLadder(doc *stricttoml.Document) {
	l := m.Ladder
	if l == nil {
		for name, o := range m.Options {
			if o.Climb || len(o.Fractions) > 0 || len(o.Budgets) > 0 || o.KeepWarmup {
				doc.Errorf("options."+name, "has a key about budgets, but the matrix has no table [ladder]")
			}
		}
		return
	}
	want := func(key string, ok bool, format string, args ...any) {
		if !ok {
			doc.Errorf(key, format, args...)
		}
	}
	m.checkBaseline(doc)
	want("ladder.base", l.Base > 0, "is %d, want a positive number of steps", l.Base)
	want("ladder.examples", l.Examples > 0, "is %d, want the largest number of examples of a run", l.Examples)
	for key, v := range map[string]float64{"loss_gain": l.LossGain, "exact_gain": l.ExactGain, "plateau": l.Plateau, "margin": l.Margin} {
		want("ladder."+key, v >= 0 && v < 1, "is %v, want a number from 0 to 1", v)
	}
	want("ladder.loss_ratio", l.LossRatio >= 1, "is %v, want at least 1", l.LossRatio)
	if l.PassSeconds != nil {
		want("ladder.pass_seconds", l.PassSeconds.Lowest() >= 0, "has %v, want seconds", l.PassSeconds.Lowest())
		want("ladder.pass_seconds", len(m.Encoders) == 1 && len(m.LLMs) == 1,
			"is given for %d encoders and %d language models, but holds for one of each; want a matrix for each combination", len(m.Encoders), len(m.LLMs))
	}
	checkFractions(doc, "ladder.fractions", l.Fractions)
	for name, o := range m.Options {
		key := "options." + name
		want(key+".from", o.From == "" || m.Recipe != "", "is given, and recipe is empty: name the recipe of all runs, because a bridge may bring its own")
		checkFractions(doc, key+".fractions", o.Fractions)
		want(key+".budgets", !slices.ContainsFunc(o.Budgets, func(b int) bool { return b <= 0 }), "is %v, want positive numbers of steps", o.Budgets)
		want(key, name != l.Baseline || !o.Climb && len(o.Fractions) == 0 && len(o.Budgets) == 0,
			"is the baseline of the ladder, which climbs by itself: leave out climb, fractions and budgets")
		for _, seed := range o.Seeds {
			want(key+".seeds", slices.Contains(m.Seeds, seed), "has %d, which is not one of the matrix's %v", seed, m.Seeds)
		}
	}
}

// checkBaseline sets the default of the baseline and checks it.
func (m *Matrix) checkBaseline(doc *stricttoml.Document) {
	var cold []string
	for name, o := range m.Options {
		if o.Cold {
			cold = append(cold, name)
		}
	}
	if m.Ladder.Baseline == "" && len(cold) == 1 {
		m.Ladder.Baseline = cold[0]
	}
	if m.Ladder.Baseline == "" {
		doc.Errorf("ladder.baseline", "is empty, and %d options have cold = true; want the option that climbs", len(cold))
	} else if _, ok := m.Options[m.Ladder.Baseline]; !ok {
		doc.Errorf("ladder.baseline", "is %q, which is not an option of the matrix", m.Ladder.Baseline)
	}
}

func checkFractions(doc *stricttoml.Document, key string, fractions []float64) {
	if slices.ContainsFunc(fractions, func(f float64) bool { return f <= 0 }) {
		doc.Errorf(key, "is %v, want numbers above 0", fractions)
	}
}

// FractionsOf returns the budgets of an option as fractions of C: the option's own, or the
// ladder's if the option says nothing about its budgets.
func (m *Matrix) FractionsOf(option string) []float64 {
	o := m.Options[option]
	if option == m.Ladder.Baseline || len(o.Fractions) == 0 && (o.Climb || len(o.Budgets) > 0) {
		return nil
	}
	if len(o.Fractions) > 0 {
		return o.Fractions
	}
	return m.Ladder.Fractions
}

// SeedsOf returns the seeds of an option.
func (m *Matrix) SeedsOf(option string) []uint64 {
	if o := m.Options[option]; len(o.Seeds) > 0 {
		return o.Seeds
	}
	return m.Seeds
}
