package metrics_test

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"testing"

	"github.com/modular-bridging/bridge/eval/metrics"
)

// vqaReference is testdata/vqa.json.gz, which tools/reference/vqa.py writes with the official
// code. Two of its sets are slices of TextVQA and VizWiz.
type vqaReference struct {
	Normalized map[string]string
	Sets       map[string][]struct {
		Prediction string
		Answers    []string
		Score      float64
	}
}

func readVQAReference(t *testing.T) vqaReference {
	t.Helper()
	f, err := os.Open("testdata/vqa.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var r vqaReference
	if err := json.NewDecoder(text).Decode(&r); err != nil {
		t.Fatal(err)
	}
	if len(r.Normalized) < 150 || len(r.Sets) != 3 {
		t.Fatalf("the reference has %d texts and %d sets", len(r.Normalized), len(r.Sets))
	}
	return r
}

// The scores are equal to the last bit, for answers that people gave and for drawn ones.
func TestVQAAccuracyEqualsTheOfficialCode(t *testing.T) {
	for name, set := range readVQAReference(t).Sets {
		if len(set) < 400 {
			t.Errorf("%s has %d questions", name, len(set))
		}
		for _, q := range set {
			if got := metrics.VQAAccuracy(q.Prediction, q.Answers); got != q.Score {
				t.Errorf("%s: %q against %q scores %v, want %v", name, q.Prediction, q.Answers, got, q.Score)
			}
		}
	}
}

// The texts have every rule, every contraction, and what Python's functions do to other scripts.
func TestNormalizeVQAEqualsTheOfficialCode(t *testing.T) {
	for text, want := range readVQAReference(t).Normalized {
		if got := metrics.NormalizeVQA(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// With ten annotators the scores are those that papers print: 0.3 for each of the first three.
func TestVQAAccuracyOfTen(t *testing.T) {
	for n, want := range []float64{0, 0.3, 0.6, 0.9, 1, 1, 1, 1, 1, 1, 1} {
		answers := make([]string, 10)
		for i := range answers {
			answers[i] = "yellow"
			if i < n {
				answers[i] = "red"
			}
		}
		if got := metrics.VQAAccuracy("red", answers); got < want-1e-12 || got > want+1e-12 {
			t.Errorf("%d of 10: %v, want %v", n, got, want)
		}
	}
	if got := metrics.VQAAccuracy("red", nil); got != 0 {
		t.Errorf("no answers: %v", got)
	}
}
