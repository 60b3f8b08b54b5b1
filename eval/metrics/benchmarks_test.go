package metrics_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/modular-bridging/bridge/eval/metrics"
)

func TestBinaryFiguresEqualScikitLearn(t *testing.T) {
	for n, r := range readScores(t).Binary {
		got, what := metrics.BinaryOf(r.Decisions, r.Truth), fmt.Sprintf("list %d, ", n)
		near(t, what+"accuracy", got.Accuracy, r.Accuracy)
		near(t, what+"precision", got.Precision, r.Precision)
		near(t, what+"recall", got.Recall, r.Recall)
		near(t, what+"F1", got.F1, r.F1)
		near(t, what+"positive", got.Positive, r.Positive)
		near(t, what+"ROC-AUC", metrics.ROCAUC(r.Scores, r.Truth), r.ROCAUC)
		near(t, what+"average precision", metrics.AveragePrecision(r.Scores, r.Truth), r.AveragePrecision)
	}
}

// Nothing decided positive, nothing positive, nothing at all: no division by zero.
func TestBinaryFiguresOfNothing(t *testing.T) {
	for _, got := range []metrics.Binary{metrics.BinaryOf(nil, nil), metrics.BinaryOf([]bool{false}, []bool{true})} {
		if got != (metrics.Binary{}) {
			t.Errorf("%+v", got)
		}
	}
	if got := metrics.BinaryOf([]bool{false}, []bool{false}); got != (metrics.Binary{Accuracy: 1}) {
		t.Errorf("%+v", got)
	}
	if got := metrics.ROCAUC([]float64{1, 2}, []bool{true, true}); !math.IsNaN(got) {
		t.Errorf("ROC-AUC of one kind: %v", got)
	}
	if got := metrics.AveragePrecision([]float64{1, 2}, []bool{false, false}); got != 0 {
		t.Errorf("average precision without positives: %v", got)
	}
}

func TestGQADistributionEqualsTheReading(t *testing.T) {
	r := readScores(t).Distribution
	near(t, "distribution", metrics.GQADistribution(r.Predictions, r.Answers, r.Groups), r.Value)
	if got := metrics.GQADistribution([]string{"a"}, []string{"b"}, []string{""}); got != 0 {
		t.Errorf("no group: %v", got)
	}
}

func TestAOKVQADirect(t *testing.T) {
	answers := []string{"dog", "dog", "cat", "dog", "dog", "Bird", "cat", "x", "y", "z"}
	for text, want := range map[string]float64{"dog": 1, "cat": 2.0 / 3, "x": 1.0 / 3, "bird": 0, "Bird": 1.0 / 3, "": 0} {
		near(t, text, metrics.AOKVQADirect(text, answers), want)
	}
}

func TestUnanswerable(t *testing.T) {
	for text, want := range map[string]bool{"unanswerable": true, " Unanswerable.\n": true, "(unanswerable)": true, "the unanswerable": true,
		"unanswerable question": false, "unsuitable": false, "": false} {
		if got := metrics.Unanswerable(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestPOPEYes(t *testing.T) {
	for text, want := range map[string]bool{
		"yes": true, "no": false, "No, there is none.": false, "Yes, there is. No doubt.": true, "there is not a dog": false,
		"NO": true, "nothing": true, "": true, "I see, no, dog": false, "no.": false, "none": true, "a dog\nno": true,
	} {
		if got := metrics.POPEYes(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestMMEAnswer(t *testing.T) {
	for text, want := range map[string]string{
		"Yes": "yes", " no. ": "no", "Y": "yes", "n.": "no", "x": "other", "yes, it is": "yes", "It is no": "other", "a no": "no", "Not at all": "no",
		"no yes": "no", "": "other", "maybe": "other",
	} {
		if got := metrics.MMEAnswer(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestMMEScore(t *testing.T) {
	items := []metrics.MMEItem{{"1.jpg", true}, {"1.jpg", true}, {"2.jpg", true}, {"2.jpg", false}, {"3.jpg", false}, {"3.jpg", false}}
	near(t, "category", metrics.MMEScore(items), 50+100.0/3)
	near(t, "perfect", metrics.MMEScore(items[:2]), 200)
	near(t, "nothing", metrics.MMEScore(nil), 0)
	if len(metrics.MMEPerception()) != 10 || len(metrics.MMECognition()) != 4 {
		t.Error("MME has 10 and 4 categories")
	}
}

func TestScienceQAChoice(t *testing.T) {
	for text, want := range map[string]int{
		"A": 0, "C": 2, "D": -1, "E": -1, "B. a cat": 1, "D. a dog": -1, "The answer is B.": 1, "So: The answer is C, I think": 2, "The answer is B": -1,
		"The answer is A. The answer is B.": -1, "b": -1, "": -1, "B.": -1, "B.a": -1, "It. is": -1,
	} {
		if got := metrics.ScienceQAChoice(text, 3); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
