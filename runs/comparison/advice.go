package comparison

import (
	"fmt"
	"math"

	"github.com/modular-bridging/bridge/eval"
)

// fewCaptions is the number of captions below which the exact match is too uncertain for a
// recommendation.
const fewCaptions = 50

// Advice recommends a variant. It chooses among the variants whose exact match is at most half a
// point below the best, and takes the one with the shortest training. If the metrics do not
// allow a recommendation, Advice says why. It is empty if no run has an exact match. It leaves out
// the runs of ladders: see [Comparison.Conclusion].
func (c *Comparison) Advice() string {
	c = c.withoutLadders()
	all := c.Runs()
	for _, run := range all {
		switch first := all[0]; {
		case run.EvalData != first.EvalData || run.Captions != first.Captions:
			return "The runs were measured on different held-out data, so their results cannot be compared."
		case run.Captions > 0 && run.Captions < fewCaptions:
			return fmt.Sprintf("%d captions are too few for a recommendation.", run.Captions)
		}
	}
	best, top := c.best()
	if best == nil {
		return ""
	}
	if top == 0 {
		return "No combination captions any picture right yet: train longer before you choose."
	}
	chosen, took := c.quickest(top - 0.005)
	exactMatch := metricNamed(eval.MetricExactMatch)
	text := fmt.Sprintf("Choose %s: exact match %s after %.0f s of training", chosen.Name, chosen.text("%.3f", exactMatch), took)
	if chosen != best {
		text += fmt.Sprintf(", within half a point of the best, %s (%s after %s s)",
			best.Name, best.text("%.3f", exactMatch), best.text("%.0f", seconds))
	}
	return text + "."
}

// best returns the variant with the highest exact match, or nil if no variant has an exact
// match.
func (c *Comparison) best() (best *Variant, top float64) {
	for _, v := range c.Variants {
		if s, ok := v.spreadOf(metricNamed(eval.MetricExactMatch)); ok && (best == nil || s.mean > top) {
			best, top = v, s.mean
		}
	}
	return best, top
}

// quickest returns the variant with the shortest training, among those whose exact match is at
// least least.
func (c *Comparison) quickest(least float64) (chosen *Variant, took float64) {
	took = math.Inf(1)
	for _, v := range c.Variants {
		s, ok := v.spreadOf(metricNamed(eval.MetricExactMatch))
		if t, _ := v.spreadOf(seconds); ok && s.mean >= least && t.mean < took {
			chosen, took = v, t.mean
		}
	}
	return chosen, took
}
