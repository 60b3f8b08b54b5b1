package lm

import (
	"testing"

	"github.com/modular-bridging/bridge/internal/backends"
)

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

func TestGradientRows(t *testing.T) {
	for _, c := range []struct {
		name                         string
		backend                      string
		parameters, width, positions int
		want                         int
	}{
		{"OPT-125M, 64 positions: 4 · 64 of 378", backends.XLACPU, 125_000_000, 768, 64, 4},
		{"OPT-125M, 20 positions, which are computed as 24", backends.XLACPU, 125_000_000, 768, 20, 8},
		{"OPT-2.7B: the activations of 256 positions, though they are larger", backends.XLACPU, 2_700_000_000, 2560, 64, 4},
		{"one sequence, however long", backends.XLACPU, 2_700_000_000, 2560, 2000, 1},
		{"a small model", backends.XLACPU, 1_000_000, 192, 64, 64},
		{"the Go backend", backends.Go, 125_000_000, 768, 64, 64},
		{"a GPU", backends.XLACUDA, 125_000_000, 768, 64, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := gradientRows(c.backend, c.parameters, c.width, c.positions); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
