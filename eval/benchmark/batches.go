package benchmark

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"unicode/utf8"
)

// DefaultBatch is the number of samples that are asked at once.
const DefaultBatch = 32

// windowBatches is the number of batches in a window. Samples of one window are sorted by length; their
// pictures are encoded together, each once.
const windowBatches = 8

// subset returns the numbers of n of all samples, drawn with a seed, in order. n = 0 returns all.
func subset(all, n int, seed uint64) []int {
	order := make([]int, all)
	for i := range order {
		order[i] = i
	}
	if n == 0 || n >= all {
		return order
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	rng.Shuffle(all, func(i, j int) { order[i], order[j] = order[j], order[i] })
	drawn := order[:n]
	slices.Sort(drawn)
	return drawn
}

// windows splits samples into windows.
func windows(samples []int, batch int) [][]int {
	return slices.Collect(slices.Chunk(samples, batch*windowBatches))
}

// batches splits a window into batches of samples of about the same length. lengths[i] is that of the
// prompt of the window's sample i. It returns numbers in the window; those of a batch are in order. The
// batches depend on the lengths alone.
func batches(lengths []int, batch int) [][]int {
	order := make([]int, len(lengths))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lengths[a], lengths[b]) })
	out := slices.Collect(slices.Chunk(order, batch))
	for _, b := range out {
		slices.Sort(b)
	}
	return out
}

// length is that of a sample's texts, in characters.
func length(prompt string, choices []string) int {
	n := utf8.RuneCountInString(prompt)
	for _, c := range choices {
		n += utf8.RuneCountInString(c)
	}
	return n
}
