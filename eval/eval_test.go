package eval

import (
	"slices"
	"testing"
)

func TestExactMatchIgnoresCaseAndSpaces(t *testing.T) {
	got := []string{"A dog  left of\ta cat", "a dog", "two cats", ""}
	references := [][]string{{"a dog left of a cat"}, {"a dog on a red background", "a dog"}, {"two cats"}, {"a cat"}}
	if got := ExactMatch(got, references); got != 0.5 {
		t.Errorf("exact match %g, want 0.5", got)
	}
	if got := ExactMatch(nil, nil); got != 0 {
		t.Errorf("exact match of none is %g", got)
	}
}

func TestRecallCountsOwnCandidateFirst(t *testing.T) {
	scores := [][]float32{{3, 1, 0}, {2, 1, 0}, {0, 0, 5}} // query 1 prefers candidate 0
	if got := recall(3, func(q, c int) float32 { return scores[q][c] }); got != 2./3 {
		t.Errorf("recall %g, want 2/3", got)
	}
}

func TestBestIsStableAndOrdered(t *testing.T) {
	scores := []float32{1, 4, 4, 0, 2}
	if got := best(5, 3, func(c int) float32 { return scores[c] }); !slices.Equal(got, []int{1, 2, 4}) {
		t.Errorf("best %v", got)
	}
}

func TestDistinctKeepsTheFirstOfEachCaption(t *testing.T) {
	rows, texts := distinct([]string{"a", "b", "a", "c", "b"})
	if !slices.Equal(rows, []int{0, 1, 3}) || !slices.Equal(texts, []string{"a", "b", "c"}) {
		t.Errorf("rows %v, texts %v", rows, texts)
	}
}
