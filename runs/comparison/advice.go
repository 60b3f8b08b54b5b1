package comparison

import (
	"fmt"
	"math"

	"github.com/modular-bridging/bridge/eval"
)

// fewCaptions is the number of captions below which the exact match says too little to
// choose by.
const fewCaptions = 50

// Advice returns what to choose, from the figures alone: the best exact match and, if
// others are within half a point of it, the quickest of these. If the figures do not
// tell, it says why. It is empty without an exact match.
func (c *Comparison) Advice() string {
	all := c.Runs()
	for _, run := range all {
		switch first := all[0]; {
		case run.EvalData != first.EvalData || run.Captions != first.Captions:
			return "The runs were measured on different held-out data, so their figures do not say which to choose."
		case run.Captions > 0 && run.Captions < fewCaptions:
			return fmt.Sprintf("%d captions are too few to choose by.", run.Captions)
		}
	}
	best, top := c.best()
	if best == nil {
		return ""
	}
	if top == 0 {
		return "No combination captions a picture right yet: train them longer before choosing."
	}
	chosen, took := c.quickest(top - 0.005)
	text := fmt.Sprintf("Choose %s: exact match %s after %.0f s of training", chosen.Name, chosen.text("%.3f", named(eval.MetricExactMatch)), took)
	if chosen != best {
		text += fmt.Sprintf(", within half a point of the best, %s (%s after %s s)", best.Name, best.text("%.3f", named(eval.MetricExactMatch)), best.text("%.0f", seconds))
	}
	return text + "."
}

// best returns the variant of the highest exact match, nil if none has one.
func (c *Comparison) best() (best *Variant, top float64) {
	for _, v := range c.Variants {
		if s, ok := v.over(named(eval.MetricExactMatch)); ok && (best == nil || s.mean > top) {
			best, top = v, s.mean
		}
	}
	return best, top
}

// quickest returns the variant that trained for the shortest time, of those with at least
// an exact match.
func (c *Comparison) quickest(least float64) (chosen *Variant, took float64) {
	took = math.Inf(1)
	for _, v := range c.Variants {
		s, ok := v.over(named(eval.MetricExactMatch))
		if t, _ := v.over(seconds); ok && s.mean >= least && t.mean < took {
			chosen, took = v, t.mean
		}
	}
	return chosen, took
}
