package eval

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// ciderReference is testdata/cider.json, which tools/reference/cider.py writes.
type ciderReference struct {
	Corpora []struct {
		Name     string
		Mean     float64
		Captions []struct {
			Name       string
			Got        string
			References []string
			Score      float64
		}
	}
}

func TestCIDErDEqualsPycocoevalcap(t *testing.T) {
	data, err := os.ReadFile("testdata/cider.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference ciderReference
	if err := json.Unmarshal(data, &reference); err != nil {
		t.Fatal(err)
	}
	largest := 0.0
	equal := func(what string, got, want float64) {
		t.Helper()
		if got == want { // 0 too, of which no part differs
			return
		}
		relative := math.Abs(got-want) / math.Abs(want)
		largest = max(largest, relative)
		if !(relative <= 1e-9) {
			t.Errorf("%s: %.17g, want %.17g", what, got, want)
		}
	}
	for _, corpus := range reference.Corpora {
		var got []string
		var references [][]string
		for _, c := range corpus.Captions {
			got, references = append(got, c.Got), append(references, c.References)
		}
		mean, each := CIDErD(got, references)
		equal(corpus.Name, mean, corpus.Mean)
		if len(each) != len(got) {
			t.Fatalf("%s: %d scores of %d captions", corpus.Name, len(each), len(got))
		}
		for i, c := range corpus.Captions {
			equal(corpus.Name+": "+c.Name, each[i], c.Score)
		}
		for range 5 { // sums must not follow the order of a map
			if again, scores := CIDErD(got, references); again != mean || !slices.Equal(scores, each) {
				t.Errorf("%s: scores do not repeat", corpus.Name)
			}
		}
	}
	t.Logf("largest relative difference %.2g", largest)
}

func TestCIDErDOfNoCaptionsIsZero(t *testing.T) {
	for _, references := range [][][]string{nil, {}} {
		if mean, each := CIDErD(nil, references); mean != 0 || len(each) != 0 {
			t.Errorf("mean %g, each %v", mean, each)
		}
	}
}

func TestCIDErDOfReferencesWithoutWordsIsZero(t *testing.T) {
	mean, each := CIDErD([]string{"a dog", ""}, [][]string{{""}, {" "}})
	if mean != 0 || !slices.Equal(each, []float64{0, 0}) {
		t.Errorf("mean %g, each %v", mean, each)
	}
}

func TestCIDErDPanicsWhereReferencesAreMissing(t *testing.T) {
	for _, c := range []struct {
		got        []string
		references [][]string
		want       string
	}{
		{[]string{"a dog", "a cat"}, [][]string{{"a dog"}}, "2 captions and references of 1"},
		{nil, [][]string{{"a dog"}}, "0 captions and references of 1"},
		{[]string{"a dog", "a cat"}, [][]string{{"a dog"}, {}}, "caption 1 of 2 has no reference"},
	} {
		func() {
			defer func() {
				if said, _ := recover().(string); !strings.Contains(said, c.want) {
					t.Errorf("panic %q, want %q", said, c.want)
				}
			}()
			CIDErD(c.got, c.references)
		}()
	}
}
