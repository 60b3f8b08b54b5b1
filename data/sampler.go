package data

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
)

// Sampler chooses the records of batches. Its choice depends only on its fields and
// the step. Within an epoch (as many steps as fit into the data set) it draws no record
// twice, except similar ones. It leaves out the records that do not fill a batch at the
// end of the epoch. No batch holds a record twice, unless the batch is larger than the
// data set.
//
// A record in LeftOut is replaced by the next of the epoch's order. So a record that is
// found to be bad when it is drawn changes no batch before: the batches are those of a
// sampler that left it out from the start. An epoch keeps its number of steps; if the order
// ends before, it begins again with the epoch's first records.
type Sampler struct {
	Seed  uint64
	Batch int
	Len   int // of the data set
	// Similar is the fraction of a batch, but never the whole batch, that shares a word
	// with a record of the rest, so that negatives are hard to tell. It has no effect
	// if Words is nil.
	Similar float64
	Words   *WordIndex
	// LeftOut has the records that are never drawn.
	LeftOut map[int]bool
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
	gaps := s.gaps(order)
	for i := range drawn {
		rows = append(rows, order.at(skip(gaps, s.Len, n%perEpoch*drawn+i)))
	}
	rng := rand.New(rand.NewPCG(s.Seed, mix(uint64(n))))
	taken := make(map[int]bool, s.Batch)
	for _, row := range rows {
		taken[row] = true
	}
	for row := range s.LeftOut {
		taken[row] = true
	}
	for i := range alike {
		row := s.Words.alike(rng, rows[i%drawn], taken)
		taken[row] = true
		rows = append(rows, row)
	}
	return rows
}

// gaps returns the places in an epoch's order of the records that are left out, ascending.
func (s *Sampler) gaps(order permutation) (places []int) {
	for row := range s.LeftOut {
		if row < s.Len {
			places = append(places, order.place(row))
		}
	}
	slices.Sort(places)
	return places
}

// skip returns the place of the i-th of n records if those at the gaps do not count. After
// the last one it begins again.
func skip(gaps []int, n, i int) int {
	if left := n - len(gaps); len(gaps) > 0 && left > 0 {
		i %= left
	}
	return i + sort.Search(len(gaps), func(k int) bool { return gaps[k]-k > i }) // behind k gaps, place i+k is the i-th
}

// permutation is a bijection of [0, n): four Feistel rounds over the next power of
// four, repeated until the value lies inside. It needs no memory, however large n is.
type permutation struct {
	seed uint64
	n    int
}

// rounds is the number of Feistel rounds.
const rounds = 4

// half returns the number of bits of half a value.
func (p permutation) half() (bits int, mask uint64) {
	for 1<<(2*bits) < p.n {
		bits++
	}
	return bits, uint64(1)<<bits - 1
}

func (p permutation) at(i int) int {
	half, mask := p.half()
	x := uint64(i)
	for {
		left, right := x>>half, x&mask
		for round := range uint64(rounds) {
			left, right = right, left^mix(p.seed+round<<32+right)&mask
		}
		if x = left<<half | right; x < uint64(p.n) {
			return int(x)
		}
	}
}

// place returns the i for which at(i) is row.
func (p permutation) place(row int) int {
	half, mask := p.half()
	x := uint64(row)
	for {
		left, right := x>>half, x&mask
		for round := range uint64(rounds) {
			left, right = right^mix(p.seed+(rounds-1-round)<<32+left)&mask, left
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
// more than a fifth of the records, because they say little about any of them. Records that
// are bad have no words.
func NewWordIndex(d Dataset) *WordIndex {
	x := &WordIndex{byWord: map[string][]int{}, words: make([][]string, d.Len()), n: d.Len()}
	for i := range d.Len() {
		seen := map[string]bool{}
		record, _ := d.Record(i)
		for _, caption := range record.Captions {
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
