package data

import (
	"math"
	"math/rand/v2"
	"strings"
)

// Sampler chooses the records of batches. Its choice depends only on its fields and
// the step. Within an epoch (as many steps as fit into the data set) it draws no record
// twice, except similar ones. It leaves out the records that do not fill a batch at the
// end of the epoch. No batch holds a record twice, unless the batch is larger than the
// data set.
type Sampler struct {
	Seed  uint64
	Batch int
	Len   int // of the data set
	// Similar is the fraction of a batch, but never the whole batch, that shares a word
	// with a record of the rest, so that negatives are hard to tell. It has no effect
	// if Words is nil.
	Similar float64
	Words   *WordIndex
}

// Indices returns the batch of step n, counted from 0.
func (s *Sampler) Indices(n int) []int {
	alike := 0
	if s.Words != nil {
		alike = min(int(math.Round(s.Similar*float64(s.Batch))), s.Batch-1)
	}
	drawn := s.Batch - alike
	perEpoch := max(1, s.Len/drawn)
	order := permutation{seed: s.Seed ^ mix(uint64(n/perEpoch)+1), n: s.Len}
	rows := make([]int, 0, s.Batch)
	for i := range drawn {
		rows = append(rows, order.at(n%perEpoch*drawn+i))
	}
	rng := rand.New(rand.NewPCG(s.Seed, mix(uint64(n))))
	taken := make(map[int]bool, s.Batch)
	for _, row := range rows {
		taken[row] = true
	}
	for i := range alike {
		row := s.Words.alike(rng, rows[i%drawn], taken)
		taken[row] = true
		rows = append(rows, row)
	}
	return rows
}

// permutation is a bijection of [0, n): four Feistel rounds over the next power of
// four, repeated until the value lies inside. It needs no memory, however large n is.
type permutation struct {
	seed uint64
	n    int
}

func (p permutation) at(i int) int {
	half := 1
	for 1<<(2*half) < p.n {
		half++
	}
	mask := uint64(1)<<half - 1
	x := uint64(i)
	for {
		left, right := x>>half, x&mask
		for round := range uint64(4) {
			left, right = right, left^mix(p.seed+round<<32+right)&mask
		}
		if x = left<<half | right; x < uint64(p.n) {
			return int(x)
		}
	}
}

// mix mixes the bits of x: it is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// WordIndex finds records that share a word.
type WordIndex struct {
	byWord map[string][]int
	words  [][]string // of each record, only those worth sharing
	n      int
}

// NewWordIndex indexes the words of all captions. It leaves out words that occur in
// more than a fifth of the records, because they say little about any of them.
func NewWordIndex(d Dataset) *WordIndex {
	x := &WordIndex{byWord: map[string][]int{}, words: make([][]string, d.Len()), n: d.Len()}
	for i := range d.Len() {
		seen := map[string]bool{}
		for _, caption := range d.Record(i).Captions {
			for _, w := range strings.Fields(strings.ToLower(caption)) {
				if !seen[w] {
					seen[w] = true
					x.byWord[w] = append(x.byWord[w], i)
					x.words[i] = append(x.words[i], w)
				}
			}
		}
	}
	for i, words := range x.words {
		kept := words[:0]
		for _, w := range words {
			if n := len(x.byWord[w]); n > 1 && n <= max(2, x.n/5) {
				kept = append(kept, w)
			}
		}
		x.words[i] = kept
	}
	return x
}

// alike returns a record that shares a word with record i and is not taken. If a few
// random draws find none, it returns any record that is not taken.
func (x *WordIndex) alike(rng *rand.Rand, i int, taken map[int]bool) int {
	const draws = 16
	words := x.words[i]
	for d := 0; d < draws && len(words) > 0; d++ {
		others := x.byWord[words[rng.IntN(len(words))]]
		if row := others[rng.IntN(len(others))]; !taken[row] {
			return row
		}
	}
	row := rng.IntN(x.n)
	for taken[row] && len(taken) < x.n {
		row = (row + 1) % x.n
	}
	return row
}
