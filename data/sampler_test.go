package data_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

func TestAnEpochHoldsEveryExampleOnce(t *testing.T) {
	for _, c := range []struct{ n, batch int }{{1, 1}, {12, 4}, {100, 7}, {1000, 64}, {1025, 25}} {
		s := &data.Sampler{Seed: 3, Batch: c.batch, Len: c.n}
		perEpoch := c.n / c.batch
		for epoch := range 2 {
			seen := map[int]bool{}
			for i := range perEpoch {
				rows := s.Indices(epoch*perEpoch + i)
				if len(rows) != c.batch {
					t.Fatalf("batch of %d, want %d", len(rows), c.batch)
				}
				for _, row := range rows {
					if row < 0 || row >= c.n || seen[row] {
						t.Errorf("%d examples by %d: epoch %d draws %d twice or out of range", c.n, c.batch, epoch, row)
					}
					seen[row] = true
				}
			}
		}
	}
}

func TestBatchesAreAFunctionOfSeedAndStep(t *testing.T) {
	a := &data.Sampler{Seed: 3, Batch: 8, Len: 100}
	b := &data.Sampler{Seed: 3, Batch: 8, Len: 100}
	other := &data.Sampler{Seed: 4, Batch: 8, Len: 100}
	a.Indices(0) // what was drawn before makes no difference
	if got, want := b.Indices(17), a.Indices(17); !reflect.DeepEqual(got, want) {
		t.Errorf("step 17 is %v and %v", got, want)
	}
	if reflect.DeepEqual(a.Indices(17), other.Indices(17)) {
		t.Error("another seed draws the same batch")
	}
	if reflect.DeepEqual(a.Indices(0), a.Indices(12)) {
		t.Error("the second epoch has the order of the first")
	}
}

func TestPermutationHasNoFavourites(t *testing.T) {
	// The first row of an epoch should be anything: 2,000 epochs of 10 rows.
	count := make([]int, 10)
	s := &data.Sampler{Seed: 9, Batch: 10, Len: 10}
	for epoch := range 2000 {
		count[s.Indices(epoch)[0]]++
	}
	for row, n := range count { // 200 expected, standard deviation 13
		if n < 130 || n > 270 {
			t.Errorf("row %d comes first %d times of 2000", row, n)
		}
	}
}

// captions is a data set without pictures.
type captions []string

func (c captions) Name() string   { return "captions" }
func (c captions) Digest() string { return "" }
func (c captions) Len() int       { return len(c) }
func (c captions) Record(i int) (data.Record, error) {
	return data.Record{Captions: []string{c[i]}}, nil
}
func (c captions) Image(i int) (*adapters.Tensor, error) { return nil, fmt.Errorf("no picture %d", i) }

func animals() captions {
	var c captions
	for i := range 240 {
		c = append(c, fmt.Sprintf("the %s number%d", []string{"dog", "cat", "cow", "owl", "bee", "fox", "elk", "ant"}[i%8], i))
	}
	return c
}

func TestSimilarExamplesShareAWordWorthSharing(t *testing.T) {
	set := animals()
	s := &data.Sampler{Seed: 5, Batch: 16, Len: len(set), Words: data.NewWordIndex(set), Similar: 0.5}
	for step := range 60 {
		rows := s.Indices(step)
		if again := s.Indices(step); !reflect.DeepEqual(rows, again) {
			t.Fatalf("step %d is %v and %v", step, rows, again)
		}
		for i, row := range rows {
			if slices.Contains(rows[:i], row) {
				t.Errorf("step %d has example %d twice: %v", step, row, rows)
			}
		}
		for i := range 8 { // "the" stands in all captions: it is the animal that is shared
			a, b := strings.Fields(set[rows[i]])[1], strings.Fields(set[rows[8+i]])[1]
			if a != b {
				t.Errorf("step %d: %q is drawn to be like %q", step, set[rows[8+i]], set[rows[i]])
			}
		}
	}
}

func TestSimilarNeverFillsTheBatch(t *testing.T) {
	set := animals()
	s := &data.Sampler{Seed: 5, Batch: 4, Len: len(set), Words: data.NewWordIndex(set), Similar: 0.99}
	for step := range 10 {
		rows := s.Indices(step)
		slices.Sort(rows)
		if len(slices.Compact(rows)) != 4 {
			t.Errorf("step %d draws %v, want 4 different examples", step, rows)
		}
	}
}

func TestSimilarWithoutSharedWordsStillFillsTheBatch(t *testing.T) {
	set := captions{"a", "b", "c", "d", "e", "f", "g", "h"}
	s := &data.Sampler{Seed: 5, Batch: 8, Len: len(set), Words: data.NewWordIndex(set), Similar: 0.5}
	for step := range 10 {
		rows := s.Indices(step)
		slices.Sort(rows)
		if !reflect.DeepEqual(rows, []int{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("step %d draws %v, want every example once", step, rows)
		}
	}
}

func TestProcessCaption(t *testing.T) {
	// From LAVIS's BlipCaptionProcessor.pre_caption.
	for in, want := range map[string]string{
		"A Dog.":                      "a dog",
		`"Look!"  (a *cat*); #1:~ ok`: "look a cat 1 ok",
		"commas, stay - don't they?":  "commas, stay - don't they?",
		strings.Repeat("w ", 60):      strings.TrimSpace(strings.Repeat("w ", 50)),
		"...":                         "",
	} {
		if got := data.ProcessCaption(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestProcessQuestion(t *testing.T) {
	// From LAVIS's BlipQuestionProcessor.pre_question.
	for in, want := range map[string]string{
		"What COLOR is the dog?":         "what color is the dog?",
		"Is it (red)!?  ":                "is it red?",
		"How many: 1.5; 2 ~ 3  dogs?":    "how many 15 2  3  dogs?",
		"\tWhat's \"that\"?\n":           "\twhat's that?\n",
		". a":                            " a",
		"a  b ":                          "a  b",
		"   ":                            "",
		strings.Repeat("x ", 60):         strings.TrimSpace(strings.Repeat("x ", 50)),
		strings.Repeat("狗", 600) + "  ？": strings.Repeat("狗", 600) + "  ？",
	} {
		if got := data.ProcessQuestion(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestSplitPrefixCutsBetweenFirstWordAndMiddle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	count := map[string]int{}
	for range 3000 {
		prefix, rest := data.SplitPrefix(rng, "a b c d e f g")
		if prefix+" "+rest != "a b c d e f g" {
			t.Fatalf("split into %q and %q", prefix, rest)
		}
		count[prefix]++
	}
	if len(count) != 3 {
		t.Errorf("prefixes are %v, want one, two and three words", count)
	}
	for prefix, n := range count { // 1000 expected, standard deviation 26
		if n < 870 || n > 1130 {
			t.Errorf("%q is drawn %d times of 3000", prefix, n)
		}
	}
	if prefix, rest := data.SplitPrefix(rng, "dog"); prefix != "" || rest != "dog" {
		t.Errorf("one word splits into %q and %q", prefix, rest)
	}
}
