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
// the intervals as a band, and Q* as a level line.
func (j judged) charts() []report.Chart {
	where := ": " + j.name() + " on " + j.set
	exact := report.Chart{Title: "Exact match over cost" + where, YLabel: "fraction", XLabel: "language-model passes", LogX: true}
	loss := report.Chart{Title: "Held-out loss over cost" + where, YLabel: "nats per token", XLabel: "language-model passes", LogX: true, LogY: true}
	for _, option := range j.options() {
		exact.Series = append(exact.Series, j.series(option, func(v ladder.Verdict) ladder.Interval { return v.Exact }))
		loss.Series = append(loss.Series, j.series(option, func(v ladder.Verdict) ladder.Interval { return v.Loss }))
	}
	if j.Best == nil {
		return []report.Chart{exact, loss}
	}
	for _, v := range j.verdicts {
		if v.Option == j.Rules.Baseline && v.Budget == j.Best.Budget {
			name := fmt.Sprintf("Q*: %s, %d steps", v.Option, v.Budget)
			exact.Level, loss.Level = &report.Level{Name: name, Value: v.Exact.Mean}, &report.Level{Name: name, Value: v.Loss.Mean}
		}
	}
	return []report.Chart{exact, loss}
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

// Conclusion says in a sentence for each ladder how cheap the cheapest swap is that is not inferior.
func (c *Comparison) Conclusion() (sentences []string) {
	for _, j := range c.judged() {
		if j.C == nil || j.set != j.Sets[0] {
			continue
		}
		if n := len(j.verdicts[0].Records[0].Sets[0].Exact); n < fewCaptions {
			sentences = append(sentences, fmt.Sprintf("%s: %d captions are too few for a conclusion.", j.name(), n))
			continue
		}
		options := j.cheapest()
		if len(options) == 0 {
			sentences = append(sentences, fmt.Sprintf("%s: no swap is shown to be not inferior to Q*.", j.name()))
			continue
		}
		best := slices.MinFunc(options, func(a, b ladder.Verdict) int { return cmp.Compare(a.Passes(), b.Passes()) })
		sentences = append(sentences, fmt.Sprintf("%s: %s is not inferior to Q* at %s%.2g of the cost C of %s (difference in exact match %s).",
			j.name(), best.Option, bounded(j.Bound().OfC()), best.Passes()/j.C.Passes(), j.Rules.Baseline, best.Difference.Text("%+.3f")))
	}
	return sentences
}
