package concat_test

import (
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/data/internal/concat"
)

// Parts without rows take no number, wherever they stand.
func TestRowsAreNumberedThroughAllParts(t *testing.T) {
	var r concat.Rows
	if r.Len() != 0 || len(r.Sizes()) != 0 {
		t.Errorf("no parts: %d rows, sizes %v", r.Len(), r.Sizes())
	}
	sizes := []int{0, 2, 0, 0, 1, 3, 0}
	for _, n := range sizes {
		r.Add(n)
	}
	if r.Len() != 6 || !slices.Equal(r.Sizes(), sizes) {
		t.Errorf("%d rows, sizes %v, want 6 and %v", r.Len(), r.Sizes(), sizes)
	}
	want := [][2]int{{1, 0}, {1, 1}, {4, 0}, {5, 0}, {5, 1}, {5, 2}}
	for row, w := range want {
		if part, at := r.Find(row); part != w[0] || at != w[1] {
			t.Errorf("row %d is row %d of part %d, want %d of %d", row, at, part, w[1], w[0])
		}
	}
}
