package recipes

import "testing"

func TestOptimizerProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"rate that is no number", "tiny-stage1", []string{"optimizer.lr=nan"}, []string{"optimizer.lr: is NaN, want a finite number"}},
		{"accumulated ITC", "tiny-stage1", []string{"optimizer.accumulate=2"}, []string{"ITC compares"}},
	})
}
