package train

import (
	"testing"

	"github.com/modular-bridging/bridge/eval"
)

// curve returns evaluations every 10 steps with an exact match and a loss each.
func curve(exact, losses []float64) []Scores {
	all := make([]Scores, len(exact))
	for i := range all {
		all[i] = Scores{Step: 10 * i, Results: eval.Results{
			Values: eval.Values{eval.MetricExactMatch: exact[i]}, Grounding: &eval.Grounding{Right: losses[i]}}}
	}
	return all
}

func TestUntilDecides(t *testing.T) {
	falling := []float64{5, 4, 3, 2, 1, 0.5, 0.2}
	flat := []float64{1, 1, 1, 1, 1, 1, 1}
	exact := Until{Metric: eval.MetricExactMatch, Value: 0.9, Patience: 3}
	loss := Until{Metric: eval.MetricLoss, Value: 2, Patience: 3}
	for name, test := range map[string]struct {
		until  Until
		scores []Scores
		from   int
		want   decision // reason "": none
	}{
		"reached":                        {exact, curve([]float64{0, 0.5, 0.9, 0.95}, falling), 0, decision{20, 0.9, UntilReached}},
		"later evaluations do not count": {exact, curve([]float64{0, 0.9, 0.5, 0.5, 0.5, 0.5}, flat), 0, decision{10, 0.9, UntilReached}},
		"not in an earlier phase":        {exact, curve([]float64{0.9, 0.9, 0.9}, falling), 20, decision{20, 0.9, UntilReached}},
		"still coming nearer":            {exact, curve([]float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}, flat), 0, decision{}},
		"no nearer":                      {exact, curve([]float64{0.1, 0.5, 0.5, 0.5, 0.5, 0.8}, flat), 0, decision{40, 0.5, UntilNoNearer}},
		"nearer only by a trifle":        {exact, curve([]float64{0.1, 0.5, 0.501, 0.502, 0.503}, flat), 0, decision{40, 0.503, UntilNoNearer}},
		// Before a bridge names the first object its captions are all wrong, and its loss falls.
		"the loss falls": {exact, curve([]float64{0, 0, 0, 0, 0, 0, 0}, falling), 0, decision{}},
		"a loss reached": {loss, curve(flat, falling), 0, decision{30, 2, UntilReached}},
	} {
		got, ok := test.until.decide(test.scores, test.from)
		if got != test.want || ok != (test.want.reason != "") {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, ok, test.want)
		}
	}
}

func TestUntilExpects(t *testing.T) {
	u := Until{Metric: eval.MetricExactMatch, Value: 0.9375}
	// The rest of captions halves every 10 steps: 1/2, 1/4, 1/8 and so on to 1/16.
	if step, ok := u.expect(curve([]float64{0, 0.5, 0.75, 0.875}, make([]float64, 4))); !ok || step < 40 || step > 41 {
		t.Errorf("got step %d, %v, want 40", step, ok)
	}
	for name, exact := range map[string][]float64{"one evaluation": {0.5}, "no change": {0.5, 0.5, 0.5}, "getting worse": {0.5, 0.4, 0.3}} {
		if step, ok := u.expect(curve(exact, make([]float64, len(exact)))); ok {
			t.Errorf("%s: got step %d, want none", name, step)
		}
	}
}
