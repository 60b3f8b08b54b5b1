package data_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/data"
)

func mixture(sizes []int, by data.Mix) *data.Mixture {
	shares, err := by.Shares(sizes)
	if err != nil {
		panic(err)
	}
	return &data.Mixture{Seed: 7, Batch: 24, Sizes: sizes, Shares: shares, OneSource: by.OneSource}
}

// sourceOf returns the source of a row.
func sourceOf(sizes []int, row int) int {
	for i, n := range sizes {
		if row < n {
			return i
		}
		row -= n
	}
	panic("no such row")
}

func TestSharesAreByNumberSizeOrItsRoot(t *testing.T) {
	sizes := []int{100, 400}
	for want, by := range map[string]data.Mix{
		"[0.75 0.25]":   {Weights: []float64{3, 1}},
		"[0.2 0.8]":     {By: data.BySize},
		"[0.333 0.667]": {By: data.BySqrtSize},
	} {
		shares, err := by.Shares(sizes)
		for i := range shares {
			shares[i] = math.Round(shares[i]*1000) / 1000
		}
		if err != nil || fmt.Sprint(shares) != want {
			t.Errorf("%+v: %v (%v), want %s", by, shares, err, want)
		}
	}
	for _, bad := range []data.Mix{{Weights: []float64{1}}, {Weights: []float64{1, 0}}, {Weights: []float64{1, math.NaN()}}, {By: "name"}} {
		if shares, err := bad.Shares(sizes); err == nil {
			t.Errorf("%+v: %v, want an error", bad, shares)
		}
	}
}

// Over many steps every source has its share, each source's records come once before one comes
// again, and Counts says what Indices drew.
func TestMixtureDrawsSharesAndWholeEpochs(t *testing.T) {
	sizes := []int{1000, 37, 5000}
	for _, one := range []bool{false, true} {
		m := mixture(sizes, data.Mix{Weights: []float64{0.5, 0.2, 0.3}, OneSource: one})
		const steps = 2000
		counts, seen := make([]int, 3), map[int]int{}
		for n := range steps {
			rows := m.Indices(n)
			sources := map[int]bool{}
			for _, row := range rows {
				source := sourceOf(sizes, row)
				sources[source] = true
				counts[source]++
				seen[row]++
			}
			if one && len(sources) != 1 {
				t.Fatalf("step %d has records of %d sources, want 1", n, len(sources))
			}
			if distinct := slices.Compact(slices.Sorted(slices.Values(rows))); len(distinct) != len(rows) || len(rows) != 24 {
				t.Fatalf("step %d: %d rows, %d of them distinct, want 24", n, len(rows), len(distinct))
			}
		}
		if got := m.Counts(steps); !slices.Equal(got, counts) {
			t.Errorf("one source %v: Counts says %v, drawn were %v", one, got, counts)
		}
		for i, share := range m.Shares {
			if got := float64(counts[i]) / (24 * steps); math.Abs(got-share) > 0.02 {
				t.Errorf("one source %v: source %d has a share of %.3f, want %.3f", one, i, got, share)
			}
		}
		least, most := math.MaxInt, 0
		for row := range sizes[0] {
			least, most = min(least, seen[row]), max(most, seen[row])
		}
		if most-least > 2 {
			t.Errorf("one source %v: records of source 0 were drawn %d to %d times, want nearly equal numbers", one, least, most)
		}
	}
}

// A batch depends on the seed and the step alone, and the parts of all ranks make up the batch.
func TestMixtureIsAFunctionOfSeedAndStep(t *testing.T) {
	sizes := []int{300, 80}
	m := mixture(sizes, data.Mix{By: data.BySqrtSize})
	want := m.Indices(41)
	m.Indices(7)
	if got := mixture(sizes, data.Mix{By: data.BySqrtSize}).Indices(41); !slices.Equal(got, want) {
		t.Errorf("step 41 is %v, was %v", got, want)
	}
	m.Seed++
	if slices.Equal(m.Indices(41), want) {
		t.Error("another seed gives the same batch")
	}
}

// A record that is left out is replaced by the next of its source, and no batch before it
// changes.
func TestMixtureReplacesWhatIsLeftOut(t *testing.T) {
	sizes := []int{300, 80}
	m := mixture(sizes, data.Mix{Weights: []float64{1, 1}})
	const at = 5
	var before [][]int
	for n := range at {
		before = append(before, m.Indices(n))
	}
	was := m.Indices(at)
	// A record that no earlier step drew.
	drawn := slices.Concat(before...)
	i := slices.IndexFunc(was, func(row int) bool { return row < 300 && !slices.Contains(drawn, row) })
	m.LeftOut = map[int]bool{was[i]: true}
	for n, want := range before {
		if got := m.Indices(n); !slices.Equal(got, want) {
			t.Errorf("step %d changed from %v to %v", n, want, got)
		}
	}
	now := m.Indices(at)
	if slices.Contains(now, was[i]) || len(now) != len(was) {
		t.Errorf("row %d is still drawn, or the batch shrank: %v", was[i], now)
	}
	for k := range now {
		if sourceOf(sizes, now[k]) != sourceOf(sizes, was[k]) {
			t.Errorf("place %d has source %d, had %d", k, sourceOf(sizes, now[k]), sourceOf(sizes, was[k]))
		}
	}
}

// A tiny weight is not lost, and one source alone is drawn as itself.
func TestMixtureKeepsSmallSources(t *testing.T) {
	m := mixture([]int{10, 1000000}, data.Mix{By: data.BySize})
	if counts := m.Counts(4096); counts[0] == 0 {
		t.Errorf("counts %v, want the small source drawn", counts)
	}
	single := mixture([]int{50}, data.Mix{By: data.BySize})
	if counts := single.Counts(10); counts[0] != 240 {
		t.Errorf("counts %v, want 240", counts)
	}
}
