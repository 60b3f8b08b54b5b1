package page

import (
	"cmp"
	"hash/fnv"
	"iter"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/eval/benchmark"
)

// picked is how many samples of each sort [Pick] chooses.
const picked = 40

// Pick chooses the samples to show of a task: the 40 worst, the 40 best, and 40 others. Among equal
// scores, and for the others, the choice depends on the sample's id alone, so it is as good as
// random and repeats. Samples that failed are left out: the result lists them. The chosen
// samples are in the order of the task. all is the number of samples.
func Pick(samples iter.Seq2[benchmark.Sample, error]) (chosen []benchmark.Sample, all int, err error) {
	sorts := []*best{
		{rank: func(s benchmark.Sample) float64 { return scored(s, math.Inf(1)) }},
		{rank: func(s benchmark.Sample) float64 { return -scored(s, math.Inf(-1)) }},
		{rank: func(benchmark.Sample) float64 { return 0 }},
	}
	for s, err := range samples {
		if err != nil {
			return nil, 0, err
		}
		if all++; s.Error == "" {
			for n, sort := range sorts {
				sort.add(s, uint64(n)<<32)
			}
		}
	}
	seen := map[key]bool{}
	for _, sort := range sorts {
		left := picked
		for _, c := range sort.sorted() {
			if k := keyOf(c.sample); !seen[k] && left > 0 {
				seen[k] = true
				chosen = append(chosen, c.sample)
				left--
			}
		}
	}
	slices.SortFunc(chosen, func(a, b benchmark.Sample) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.ID, b.ID))
	})
	return chosen, all, nil
}

// key tells samples apart: in retrieval, two of them may have one index.
type key struct {
	index         int
	id, direction string
}

func keyOf(s benchmark.Sample) key { return key{s.Index, s.ID, s.Direction} }

// scored returns the score of a sample, or what stands for none.
func scored(s benchmark.Sample, none float64) float64 {
	if s.Score == nil {
		return none
	}
	return *s.Score
}

// best keeps the samples with the lowest ranks. It keeps three times as many as are picked, since
// another sort may have picked some of them.
type best struct {
	rank  func(benchmark.Sample) float64
	found []candidate
}

type candidate struct {
	sample benchmark.Sample
	rank   float64
	luck   uint64 // orders equal ranks
}

const kept = 3 * picked

// add adds a sample. Sorts with different seeds order equal ranks differently.
func (b *best) add(s benchmark.Sample, seed uint64) {
	h := fnv.New64a()
	h.Write([]byte(s.ID + s.Direction))
	luck := (h.Sum64() ^ seed) * 0x9e3779b97f4a7c15 // spreads the bits of similar ids
	b.found = append(b.found, candidate{s, b.rank(s), luck})
	if len(b.found) >= 2*kept {
		b.found = b.sorted()
	}
}

// sorted returns the candidates that are kept, the lowest rank first.
func (b *best) sorted() []candidate {
	slices.SortFunc(b.found, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(x.rank, y.rank), cmp.Compare(x.luck, y.luck), cmp.Compare(x.sample.Index, y.sample.Index))
	})
	return b.found[:min(kept, len(b.found))]
}
