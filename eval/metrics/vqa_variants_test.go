package metrics_test

import (
	"math"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/eval/metrics"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// The scores of each variant equal those of its own scorer, question by question. The slice is
// committed (tools/reference/vqa_variants.py).
func TestVQAVariantsEqualTheirScorers(t *testing.T) {
	var sets map[string][]struct {
		Prediction string
		Answers    []string
		Scores     map[metrics.VQAVariant]float64 // percent
	}
	testenv.ReadJSON(t, "testdata/vqa_variants.json.gz", &sets)
	for name, questions := range sets {
		if len(questions) < 250 {
			t.Errorf("%s has %d questions", name, len(questions))
		}
		for _, variant := range metrics.VQAVariants() {
			scorer := metrics.NewVQA(variant)
			for _, q := range questions {
				want, ok := q.Scores[variant]
				if got := 100 * scorer.Accuracy(q.Prediction, q.Answers); !ok || math.Abs(got-want) > 1e-9 {
					t.Errorf("%s, %s: %q against %q scores %v, want %v", name, variant, q.Prediction, q.Answers, got, want)
				}
			}
		}
	}
}

// All questions of VizWiz and TextVQA, if they are there, and the means that the scorers print.
func TestVQAVariantsEqualTheirScorersOnTheWholeSets(t *testing.T) {
	var scores map[string]struct {
		Value       float64
		PerQuestion []float64 `json:"per_question"`
	}
	testenv.ReadJSON(t, testenv.Data(t, "vqa_scores.json.gz"), &scores)
	if len(scores) != 10 {
		t.Fatalf("scores of %d scorers", len(scores))
	}
	predictions, answers := map[string][]string{}, map[string][][]string{}
	for _, set := range []string{"vizwiz", "textvqa"} {
		predictions[set], answers[set] = wholeVQA(t, set)
	}
	for name, want := range scores {
		set, variant, _ := strings.Cut(name, "/")
		predictions, answers := predictions[set], answers[set]
		scorer, sum := metrics.NewVQA(metrics.VQAVariant(variant)), 0.0
		for i, people := range answers {
			got := 100 * scorer.Accuracy(predictions[i], people)
			sum += got
			if math.Abs(got-want.PerQuestion[i]) > 1e-9 {
				t.Errorf("%s: question %d, %q against %q, scores %v, want %v", name, i, predictions[i], people, got, want.PerQuestion[i])
			}
		}
		if mean := sum / float64(len(answers)); len(answers) != len(want.PerQuestion) || math.Abs(mean-want.Value) > 1e-9 {
			t.Errorf("%s: %v of %d, want %v of %d", name, mean, len(answers), want.Value, len(want.PerQuestion))
		}
	}
}

// The table of VizWiz's scorer differs from the official one.
func TestVizWizCompletesContractionsInItsOwnWay(t *testing.T) {
	scorer := metrics.NewVQA(metrics.VQAVizWiz)
	for text, want := range map[string]string{
		"dont": "don`t", "cant": "can't", "Wheres": "where's", "whos": "who`s", "couldn'tve": "couldn`t`ve", "couldnt've": "couldnt've", "somebody'd": "somebody'd",
	} {
		if got := scorer.Accuracy(text, []string{want, want, want, want}); got != 1 {
			t.Errorf("%q does not become %q", text, want)
		}
	}
}

// wholeVQA returns the predictions and the answers of a whole set, in the order of annotations.
func wholeVQA(t testing.TB, set string) (predictions []string, answers [][]string) {
	t.Helper()
	var file struct {
		Annotations []struct {
			ID      int `json:"question_id"`
			Answers []struct{ Answer string }
		}
	}
	var got []struct {
		ID     int `json:"question_id"`
		Answer string
	}
	testenv.ReadJSON(t, testenv.Data(t, set+"_val_annotations.json.gz"), &file)
	testenv.ReadJSON(t, testenv.Data(t, set+"_predictions.json.gz"), &got)
	byID := map[int]string{}
	for _, p := range got {
		byID[p.ID] = p.Answer
	}
	for _, q := range file.Annotations {
		var people []string
		for _, a := range q.Answers {
			people = append(people, a.Answer)
		}
		predictions, answers = append(predictions, byID[q.ID]), append(answers, people)
	}
	return predictions, answers
}

func TestNewVQAPanicsOnOtherVariants(t *testing.T) {
	defer func() {
		if said, _ := recover().(string); !strings.Contains(said, `no variant "offical"`) {
			t.Errorf("panic %q", said)
		}
	}()
	metrics.NewVQA("offical")
}

// BenchmarkVQAVizWiz scores VizWiz val, read already, with a new scorer each time, by the official
// rule. `make bench-vqa` compares it with Python.
func BenchmarkVQAVizWiz(b *testing.B) {
	predictions, answers := wholeVQA(b, "vizwiz")
	for b.Loop() {
		scorer, sum := metrics.NewVQA(metrics.VQAOfficial), 0.0
		for i, people := range answers {
			sum += scorer.Accuracy(predictions[i], people)
		}
		b.ReportMetric(100*sum/float64(len(answers)), "percent")
	}
}
