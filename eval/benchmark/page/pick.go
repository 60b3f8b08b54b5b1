package page

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/eval/benchmark"
)

// picked is how many samples of each sort [Pick] chooses.
const picked = 40

// Pick chooses the samples to show of a task: the 40 worst, the 40 best, and 40 others. Among equal
// scores, and for the others, the choice depends on the sample's id alone, so it is as good as
// random and repeats. Samples that failed are left out: the result lists them. The chosen
// samples are in the order of the task.
func Pick(samples []benchmark.Sample) []benchmark.Sample {
	var rows []int
	for i, s := range samples {
		if s.Error == "" {
			rows = append(rows, i)
		}
	}
	var chosen []int
	for _, rank := range []func(s benchmark.Sample) float64{
		func(s benchmark.Sample) float64 { return scored(s, math.Inf(1)) },
		func(s benchmark.Sample) float64 { return -scored(s, math.Inf(-1)) },
		func(benchmark.Sample) float64 { return 0 },
	} {
		slices.SortFunc(rows, func(a, b int) int {
			return cmp.Or(cmp.Compare(rank(samples[a]), rank(samples[b])), cmp.Compare(luck(samples[a]), luck(samples[b])), cmp.Compare(a, b))
		})
		n := min(picked, len(rows))
		chosen, rows = append(chosen, rows[:n]...), rows[n:]
	}
	slices.SortFunc(chosen, func(a, b int) int { return cmp.Or(cmp.Compare(samples[a].Index, samples[b].Index), cmp.Compare(a, b)) })
	out := make([]benchmark.Sample, len(chosen))
	for i, row := range chosen {
		out[i] = samples[row]
	}
	return out
}

// scored returns the score of a sample, or what stands for none.
func scored(s benchmark.Sample, none float64) float64 {
	if s.Score == nil {
		return none
	}
	return *s.Score
}

// luck returns a number that depends on a sample's id as if it were random.
func luck(s benchmark.Sample) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s.ID + s.Direction))
	return h.Sum64() * 0x9e3779b97f4a7c15 // spreads the bits of similar ids
}
