package lm

import "testing"

// What is no number in an example must not reach others through padding: 0 times
// NaN is NaN.
func TestPaddingReadsItsOwnRow(t *testing.T) {
	b := pack([]Sequence{
		{Input: []int32{1, 2, 3, 4, 5, 6, 7, 8, 9}, Target: []int32{5, 6, 7}, First: 6},
		{Input: []int32{1, 2}, Target: []int32{2}, First: 1},
	}, 1, None)
	for i, at := range b.targetPositions {
		if row := i / b.targets; int(at)/b.length != row {
			t.Errorf("target %d of row %d reads position %d, of row %d", i%b.targets, row, at, int(at)/b.length)
		}
	}
}
