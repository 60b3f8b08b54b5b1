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

func TestDistinctKeepsTheFirstOfEachCaption(t *testing.T) {
	rows, texts := distinct([]string{"a", "b", "a", "c", "b"})
	if !slices.Equal(rows, []int{0, 1, 3}) || !slices.Equal(texts, []string{"a", "b", "c"}) {
		t.Errorf("rows %v, texts %v", rows, texts)
	}
}
