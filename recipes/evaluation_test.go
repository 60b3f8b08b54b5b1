package recipes

import (
	"reflect"
	"testing"
)

func TestEvaluationProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"further data that is none of the kit's", "tiny-retrain", []string{`evaluation.also=["kit:stile"]`}, []string{`evaluation.also: is "kit:stile", want one of`, "kit:style"}},
		{"further data twice", "tiny-retrain", []string{`evaluation.also=["kit:style", "kit:style"]`}, []string{`evaluation.also: has "kit:style" twice`}},
		{"the held-out data again", "tiny-retrain", []string{`evaluation.also=["kit:held-out"]`}, []string{"which is data.eval"}},
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
