package comparison

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/runs/report"
)

// charts returns the curves of quality over cost on the held-out data: one curve an option, with
// the intervals as a band, and Q*, or the rung in place of it, as a level line.
func (j judged) charts() []report.Chart {
	where := ": " + j.name() + " on " + j.set
	exact := report.Chart{Title: "Exact match over cost" + where, YLabel: "fraction", XLabel: "language-model passes", LogX: true}
	loss := report.Chart{Title: "Held-out loss over cost" + where, YLabel: "nats per token", XLabel: "language-model passes", LogX: true, LogY: true}
	for _, option := range j.options() {
		exact.Series = append(exact.Series, j.series(option, func(v ladder.Verdict) ladder.Interval { return v.Exact }))
		loss.Series = append(loss.Series, j.series(option, func(v ladder.Verdict) ladder.Interval { return v.Loss }))
	}
	name, level := j.level()
	for _, v := range j.verdicts {
		if v.Name() == level {
			exact.Level, loss.Level = &report.Level{Name: name, Value: v.Exact.Mean}, &report.Level{Name: name, Value: v.Loss.Mean}
		}
	}
	return []report.Chart{exact, loss}
}

// level returns the rung of the level line, and what the line is called. The rung is zero if Q* is not known.
func (j judged) level() (name string, rung ladder.RungName) {
	switch {
	case j.Against != nil:
		return j.Against.Name().String(), j.Against.Name()
	case j.Best != nil:
		return "Q*: " + j.Best.Name().String(), j.Best.Name()
	}
	return "", ladder.RungName{}
}

// options returns the options of the verdicts, in their order.
func (j judged) options() (all []string) {
	for _, v := range j.verdicts {
		if len(all) == 0 || all[len(all)-1] != v.Option {
			all = append(all, v.Option)
		}
	}
	return all
}

// series returns the curve of an option. It has seconds if all its runs have.
func (j judged) series(option string, value func(ladder.Verdict) ladder.Interval) report.Series {
	s := report.Series{Name: option, Seconds: []float64{}}
	for _, v := range j.verdicts {
		if v.Option != option {
			continue
		}
		i := value(v)
		if !i.Known() {
			i.Low, i.High = i.Mean, i.Mean
		}
		s.Steps, s.Values = append(s.Steps, v.Passes()), append(s.Values, i.Mean)
		s.Low, s.High = append(s.Low, math.Max(i.Low, 0)), append(s.High, i.High)
		if seconds, ok := j.Seconds(v.Rung); ok && s.Seconds != nil {
			s.Seconds = append(s.Seconds, seconds)
		} else {
			s.Seconds = nil
		}
	}
	return s
}

// Conclusion says in a sentence for each ladder how cheap the cheapest swap is that is not inferior. If the
// ladders are compared with another rung than Q*, it says that instead.
func (c *Comparison) Conclusion() (sentences []string) {
	for _, j := range c.judged() {
		if j.set != j.Sets[0] || j.C == nil && j.Against == nil {
			continue
		}
		n := len(j.verdicts[0].Records[0].Sets[0].Exact)
		switch {
		case n < fewCaptions:
			sentences = append(sentences, fmt.Sprintf("%s: %d captions are too few for a conclusion.", j.name(), n))
		case j.Against != nil:
			sentences = append(sentences, j.againstSentence())
		default:
			sentences = append(sentences, j.cheapestSentence())
		}
	}
	return sentences
}

// cheapestSentence says how cheap the cheapest swap is that is not inferior to Q*.
func (j judged) cheapestSentence() string {
	options := j.cheapest()
	if len(options) == 0 {
		return fmt.Sprintf("%s: no swap is shown to be not inferior to Q*.", j.name())
	}
	best := slices.MinFunc(options, func(a, b ladder.Verdict) int { return cmp.Compare(a.Passes(), b.Passes()) })
	return fmt.Sprintf("%s: %s is not inferior to Q* at %s%.2g of the cost C of %s (difference in exact match %s).",
		j.name(), best.Option, bounded(j.Bound().OfC()), best.Passes()/j.C.Passes(), j.Rules.Baseline, best.Difference.Text("%+.3f"))
}
