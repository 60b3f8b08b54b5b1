package recipes

import (
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/train"
)

func TestEvaluationProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"further data that is none of the kit's", "tiny-retrain", []string{`evaluation.also=["kit:stile"]`}, []string{`evaluation.also: is "kit:stile", want one of`, "kit:style"}},
		{"further data twice", "tiny-retrain", []string{`evaluation.also=["kit:style", "kit:style"]`}, []string{`evaluation.also: has "kit:style" twice`}},
		{"the held-out data again", "tiny-retrain", []string{`evaluation.also=["kit:held-out"]`}, []string{"which is data.eval"}},
		{"answers of stage 1", "tiny-stage1", []string{"evaluation.answers=false"}, []string{"evaluation.answers: is given, but stage 1"}},
		{"the training data", "tiny-retrain", []string{`evaluation.also=["kit:train"]`}, []string{"which is data.train"}},
	})
}

func TestFurtherDataIsKept(t *testing.T) {
	r, err := Load("tiny-retrain", `evaluation.also=["kit:report", "kit:style"]`)
	must(t, err)
	text, err := r.Encode()
	must(t, err)
	again, err := Parse("again.toml", text)
	must(t, err)
	if want := []string{"kit:report", "kit:style"}; !reflect.DeepEqual(again.Evaluation.Also, want) {
		t.Errorf("got %q, want %q", again.Evaluation.Also, want)
	}
}

func TestAnswersCanBeLeftOut(t *testing.T) {
	for _, set := range [][]string{nil, {"evaluation.answers=true"}, {"evaluation.answers=false"}} {
		r, err := Load("tiny-retrain", set...)
		must(t, err)
		text, err := r.Encode()
		must(t, err)
		again, err := Parse("again.toml", text)
		must(t, err)
		resolved, err := again.Resolve(newRegistry(t))
		must(t, err)
		if got, want := resolved.Plan().Evaluation.NoAnswers, len(set) == 1 && strings.HasSuffix(set[0], "false"); got != want {
			t.Errorf("%q: answers left out: %v, want %v", set, got, want)
		}
	}
}

func TestUntil(t *testing.T) {
	testProblems(t, []problemTest{
		{"no value", "tiny-retrain", []string{"evaluation.until=exact match"}, []string{`evaluation.until: is "exact match", want "old", or a metric and a value`}},
		{"a value that nothing reaches", "tiny-retrain", []string{"evaluation.until=exact match 95"}, []string{"at most 1"}},
		{"another metric", "tiny-retrain", []string{"evaluation.until=bleu 0.5"}, []string{"want \"old\""}},
		{"stage 1", "tiny-stage1", []string{"evaluation.until=loss 0.5"}, []string{"only a stage-2 run"}},
	})
	for text, want := range map[string]train.Until{
		"exact match 0.95": {Metric: eval.MetricExactMatch, Value: 0.95, Patience: UntilPatience},
		"CIDEr-D 1.2":      {Metric: eval.MetricCIDErD, Value: 1.2, Patience: UntilPatience},
		"loss 0.02":        {Metric: eval.MetricLoss, Value: 0.02, Patience: UntilPatience},
	} {
		r, err := Load("tiny-retrain", "evaluation.until="+text, "evaluation.every=0", "evaluation.captions=0")
		must(t, err)
		resolved, err := r.Resolve(newRegistry(t))
		must(t, err)
		plan := resolved.Plan()
		if plan.Until == nil || *plan.Until != want {
			t.Errorf("%s: got %+v, want %+v", text, plan.Until, want)
		}
		if e := plan.Evaluation; e.Every != 75 || e.Captions != 600 {
			t.Errorf("%s: evaluations every %d steps with %d captions, want every 75 of 600 with the final 600", text, e.Every, e.Captions)
		}
	}
	for want, e := range map[int]Evaluation{
		100: {Captions: 24, FinalCaptions: 300}, 24: {Captions: 24}, 150: {Captions: 150, FinalCaptions: 600}, 40: {Captions: 24, FinalCaptions: 40},
		64: {Examples: 64}, 300: {FinalCaptions: 300, Examples: 64},
	} {
		e.Until = UntilOld
		if got := e.plan(100).Captions; got != want {
			t.Errorf("%+v: evaluations with %d captions, want %d", e, got, want)
		}
	}
}
