package eval

import (
	"encoding/json"
	"math"
	"testing"
)

// Of ten people's answers each counts by its share; a single answer is compared exactly.
func TestAnswersOfSeveralPeopleScoreVQAAccuracy(t *testing.T) {
	ten := Question{Answer: "yellow", Answers: []string{"red", "yellow", "yellow", "yellow", "yellow", "yellow", "yellow", "yellow", "yellow", "yellow"}}
	one := Question{Answer: "red"}
	for _, c := range []struct {
		q    Question
		got  string
		want Rate
	}{
		{ten, "yellow", Rate{Right: 1, Of: 1, Score: 1, Metric: MetricVQA}},
		{ten, "Yellow.", Rate{Right: 1, Of: 1, Score: 1, Metric: MetricVQA}},
		{ten, "red", Rate{Of: 1, Score: 0.3, Metric: MetricVQA}},
		{ten, "blue", Rate{Of: 1, Metric: MetricVQA}},
		{one, " RED", Rate{Right: 1, Of: 1}},
		{one, "red.", Rate{Of: 1}},
	} {
		got := c.q.rate(c.got)
		if d := math.Abs(got.Score - c.want.Score); d > 1e-12 {
			t.Errorf("%q scores %v, want %v", c.got, got.Score, c.want.Score)
		}
		if got.Score = c.want.Score; got != c.want {
			t.Errorf("%q: %+v, want %+v", c.got, got, c.want)
		}
	}
}

// The mean of both kinds of questions counts each question once. Rates without a list are
// written as they were before there were scores.
func TestRatesAddUp(t *testing.T) {
	exact, scored := Rate{Right: 1, Of: 2}, Rate{Of: 2, Score: 0.9, Metric: MetricVQA}
	sum := exact.Plus(scored)
	if want := (1 + 0.9) / 4; math.Abs(sum.Fraction()-want) > 1e-12 || sum.Right != 1 || sum.Of != 4 || sum.Metric != MetricVQA {
		t.Errorf("got %+v, %v; want the mean %v", sum, sum.Fraction(), want)
	}
	if other := scored.Plus(exact); other != sum {
		t.Errorf("the order counts: %+v and %+v", sum, other)
	}
	if text, err := json.Marshal(exact.Plus(exact)); err != nil || string(text) != `{"right":2,"of":4}` {
		t.Errorf("exact match is written as %s, %v", text, err)
	}
	if text, err := json.Marshal(scored); err != nil || string(text) != `{"right":0,"of":2,"score":0.9,"metric":"vqa_accuracy_official"}` {
		t.Errorf("VQA accuracy is written as %s, %v", text, err)
	}
	if (Rate{}).Fraction() != 0 {
		t.Error("no answers have a rate")
	}
}
