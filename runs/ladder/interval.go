package ladder

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a mean with its 95 % interval. Low and High are NaN if there is no interval.
type Interval struct{ Mean, Low, High float64 }

// level is the probability outside an interval, both sides together.
const level = 0.05

// resamples is the number of bootstrap samples. The bounds of an interval then have a standard
// error of about a fiftieth of its width.
const resamples = 10_000

// without returns a mean without an interval.
func without(mean float64) Interval { return Interval{mean, math.NaN(), math.NaN()} }

// Known reports whether there is an interval.
func (i Interval) Known() bool { return !math.IsNaN(i.Low) }

// Text formats the mean and, in brackets, the interval.
func (i Interval) Text(format string) string {
	if !i.Known() {
		return fmt.Sprintf(format, i.Mean)
	}
	return fmt.Sprintf(format+" ("+format+" to "+format+")", i.Mean, i.Low, i.High)
}

// plainInterval is the JSON of an [Interval].
type plainInterval struct {
	Mean float64  `json:"mean"`
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
}

// MarshalJSON implements [json.Marshaler]. Without an interval, low and high are left out.
func (i Interval) MarshalJSON() ([]byte, error) {
	p := plainInterval{Mean: i.Mean}
	if i.Known() {
		p.Low, p.High = &i.Low, &i.High
	}
	return json.Marshal(p)
}

// Mean returns the share of exact captions over seeds and pictures, exact[seed][picture], with
// its interval by [bootstrap].
func Mean(exact [][]bool) Interval {
	wrong := cells(exact, nil) // few cells are not 0, which is quicker
	i := bootstrap(wrong)
	return Interval{1 + i.Mean, 1 + i.Low, 1 + i.High}
}

// Difference returns the difference in the share of exact captions, a − b, with its interval by
// [bootstrap]. a[i] and b[i] have the same seed, and a[i][j] and b[i][j] the same picture.
func Difference(a, b [][]bool) Interval { return bootstrap(cells(a, b)) }

// cells returns the differences of a and b by seed and picture. b is 1 everywhere if it is nil.
func cells(a, b [][]bool) [][]int8 {
	number := map[bool]int8{true: 1}
	all := make([][]int8, len(a))
	for s := range a {
		all[s] = make([]int8, len(a[s]))
		for p := range a[s] {
			all[s][p] = number[a[s][p]] - number[b == nil || b[s][p]]
		}
	}
	return all
}

// bootstrap returns the mean of cells[seed][picture] and the percentile interval of the
// pigeonhole bootstrap (A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2),
// 2007): each sample draws seeds with replacement and, independently, pictures with replacement,
// and takes the mean over the drawn cells. So the interval is for other seeds and other pictures of
// the same kind. With a single seed only pictures are drawn. The random numbers are the same in
// every call.
//
// Most pictures have only zeros. They add nothing, so a sample draws the number of the other ones,
// which is binomial, and then only those.
func bootstrap(cells [][]int8) Interval {
	seeds, pictures, columns := len(cells), len(cells[0]), nonzero(cells)
	source := rand.NewPCG(2007, 386)
	random := rand.New(source)
	hits := distuv.Binomial{N: float64(pictures), P: float64(len(columns)) / float64(pictures), Src: source}
	drawn, combined := make([]int, seeds), make([]int, len(columns))
	means := make([]float64, resamples)
	for i := range means {
		clear(drawn)
		for range seeds {
			drawn[random.IntN(seeds)]++
		}
		for j, column := range columns {
			combined[j] = 0
			for s, v := range column {
				combined[j] += drawn[s] * int(v)
			}
		}
		sum, n := 0, pictures
		if len(columns) < pictures {
			n = int(hits.Rand())
		}
		for range n {
			sum += combined[random.IntN(len(combined))]
		}
		means[i] = float64(sum) / float64(seeds*pictures)
	}
	slices.Sort(means)
	return Interval{total(columns) / float64(seeds*pictures),
		stat.Quantile(level/2, stat.LinInterp, means, nil), stat.Quantile(1-level/2, stat.LinInterp, means, nil)}
}

// nonzero returns the columns of cells, one a picture, that have a cell other than 0.
func nonzero(cells [][]int8) (columns [][]int8) {
	for p := range cells[0] {
		column, any := make([]int8, len(cells)), false
		for s := range cells {
			column[s] = cells[s][p]
			any = any || column[s] != 0
		}
		if any {
			columns = append(columns, column)
		}
	}
	return columns
}

// total returns the sum of all cells.
func total(columns [][]int8) (sum float64) {
	for _, column := range columns {
		for _, v := range column {
			sum += float64(v)
		}
	}
	return sum
}

// overSeeds returns the mean of one value a seed and Student's interval, which needs two seeds.
func overSeeds(values []float64) Interval {
	n := float64(len(values))
	if n < 2 {
		return without(stat.Mean(values, nil))
	}
	mean, deviation := stat.MeanStdDev(values, nil)
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(1-level/2) * deviation / math.Sqrt(n)
	return Interval{mean, mean - half, mean + half}
}

// ratio returns the ratio of the means of a and b, which have the same seeds, and Student's
// interval of the mean logarithm of the ratio by seed.
func ratio(a, b []float64) Interval {
	mean := stat.Mean(a, nil) / stat.Mean(b, nil)
	logs := make([]float64, len(a))
	for i := range a {
		logs[i] = math.Log(a[i] / b[i])
	}
	i := overSeeds(logs)
	return Interval{mean, math.Exp(i.Low), math.Exp(i.High)}
}
