// Package resample says how far a figure of a benchmark would move with other samples of the same
// kind: bootstrap intervals, and paired comparisons of two models on the same samples (Efron
// 1979; Koehn 2004). It draws with a fixed seed, so that results repeat.
//
// The package knows numbers alone. It does not know what a sample or a figure is.
package resample

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// draws is how many times samples are drawn anew.
const draws = 1000

// mostDistinct is up to how many distinct values a mean is drawn by their numbers.
const mostDistinct = 64

// Figure is a number that is computed from samples. The zero value is a figure of none.
type Figure struct {
	n      int
	values []float64
	of     func(rows []int) float64
}

// Mean returns the figure that is the mean of values, one of each sample.
func Mean(values []float64) Figure { return Figure{n: len(values), values: values} }

// Of returns a figure of n samples, which of computes from the numbers of samples. A number can
// be there several times, or not at all.
func Of(n int, of func(rows []int) float64) Figure { return Figure{n: n, of: of} }

// N returns the number of samples.
func (f Figure) N() int { return f.n }

// Value returns the figure of all samples, each once; NaN if there are none.
func (f Figure) Value() float64 {
	if f.n == 0 {
		return math.NaN()
	}
	if f.of != nil {
		return f.of(all(f.n))
	}
	sum := 0.0
	for _, v := range f.values {
		sum += v
	}
	return sum / float64(f.n)
}

// Interval has the limits that 95 % of the drawn figures are between.
type Interval struct{ Low, High float64 }

// Interval returns the 95 % percentile interval of the bootstrap, from 1,000 draws; NaN if there
// are no samples.
func (f Figure) Interval() Interval { return limits(f.drawn()) }

// Spread returns the interval, as [Figure.Interval] does, and the standard error, which is the standard
// deviation of the drawn figures; NaN if there are no samples.
func (f Figure) Spread() (i Interval, standardError float64) {
	drawn := f.drawn()
	i = limits(drawn)
	if drawn = slices.DeleteFunc(drawn, math.IsNaN); len(drawn) == 0 {
		return i, math.NaN()
	}
	return i, stat.StdDev(drawn, nil)
}

// Comparison is the difference of a figure between two models on the same samples.
type Comparison struct {
	Difference float64 // of the first less the second
	Interval   Interval
	// P is the two-sided p-value of the paired bootstrap: about how often a difference of the
	// other sign, or none, is drawn, twice.
	P float64
}

// Compare compares a figure of two models on the same samples. It panics if the numbers of
// samples differ.
func Compare(a, b Figure) Comparison {
	if a.n != b.n {
		panic("resample: figures of different numbers of samples cannot be paired")
	}
	d := difference(a, b)
	drawn := d.drawn()
	return Comparison{Difference: a.Value() - b.Value(), Interval: limits(drawn), P: twoSided(drawn)}
}

// difference returns the figure of a less that of b.
func difference(a, b Figure) Figure {
	if a.of == nil && b.of == nil {
		values := make([]float64, a.n)
		for i := range values {
			values[i] = a.values[i] - b.values[i]
		}
		return Mean(values)
	}
	return Of(a.n, func(rows []int) float64 { return a.at(rows) - b.at(rows) })
}

// at returns the figure of the samples with numbers.
func (f Figure) at(rows []int) float64 {
	if f.of != nil {
		return f.of(rows)
	}
	sum := 0.0
	for _, row := range rows {
		sum += f.values[row]
	}
	return sum / float64(len(rows))
}

// twoSided returns the p-value of drawn differences.
func twoSided(drawn []float64) float64 {
	var below, above float64
	for _, d := range drawn {
		if d <= 0 {
			below++
		}
		if d >= 0 {
			above++
		}
	}
	return min(1, 2*(min(below, above)+1)/float64(len(drawn)+1))
}

// limits returns the interval of drawn figures. It leaves out draws of which the
// figure is NaN, as ROC-AUC is of examples of one class.
func limits(drawn []float64) Interval {
	drawn = slices.DeleteFunc(slices.Clone(drawn), math.IsNaN)
	if len(drawn) == 0 {
		return Interval{math.NaN(), math.NaN()}
	}
	slices.Sort(drawn)
	at := func(q float64) float64 { // between the two nearest
		x := q * float64(len(drawn)-1)
		lo := int(x)
		hi := min(lo+1, len(drawn)-1)
		return drawn[lo] + (x-float64(lo))*(drawn[hi]-drawn[lo])
	}
	return Interval{at(0.025), at(0.975)}
}

// drawn returns the figures of samples that are drawn with replacement.
func (f Figure) drawn() []float64 {
	if f.n == 0 {
		return nil
	}
	rng := rand.New(rand.NewPCG(1, uint64(f.n)))
	if f.of == nil {
		if distinct, counts := tally(f.values); distinct != nil {
			return drawnCounts(rng, distinct, counts, f.n)
		}
	}
	out, rows := make([]float64, draws), make([]int, f.n)
	for d := range out {
		for i := range rows {
			rows[i] = rng.IntN(f.n)
		}
		out[d] = f.at(rows)
	}
	return out
}

// tally returns the distinct values and how often each occurs, or nil if there are many.
func tally(values []float64) (distinct []float64, counts []int) {
	index := map[float64]int{}
	for _, v := range values {
		i, ok := index[v]
		if !ok {
			if len(distinct) == mostDistinct {
				return nil, nil
			}
			i = len(distinct)
			index[v] = i
			distinct, counts = append(distinct, v), append(counts, 0)
		}
		counts[i]++
	}
	return distinct, counts
}

// drawnCounts draws how often each value occurs among n, which has the same distribution as
// drawing n values and takes far less time.
func drawnCounts(rng *rand.Rand, distinct []float64, counts []int, n int) []float64 {
	out := make([]float64, draws)
	for d := range out {
		sum, left, rest := 0.0, n, n
		for i, v := range distinct {
			k := left
			if counts[i] < rest {
				k = int(distuv.Binomial{N: float64(left), P: float64(counts[i]) / float64(rest), Src: rng}.Rand())
			}
			sum += v * float64(k)
			left, rest = left-k, rest-counts[i]
			if left == 0 {
				break
			}
		}
		out[d] = sum / float64(n)
	}
	return out
}

func all(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}
