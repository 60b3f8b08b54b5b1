package resample_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/modular-bridging/bridge/eval/metrics/resample"
)

// scores returns n values of 0, 0.3, 0.6, 0.9 and 1, with a little noise if it is not 0.
func scores(n int, seed uint64, noise float64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]float64, n)
	for i := range out {
		out[i] = []float64{0, 0, 0.3, 0.6, 0.9, 1, 1}[rng.IntN(7)] + noise*rng.Float64()
	}
	return out
}

// standardError returns the standard error of a mean.
func standardError(values []float64) float64 {
	mean := resample.Mean(values).Value()
	squares := 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	return math.Sqrt(squares) / float64(len(values))
}

// The interval of a mean of many values is 1.96 standard errors to each side, drawn by values and
// drawn by their numbers.
func TestIntervalOfAMean(t *testing.T) {
	for name, values := range map[string][]float64{"few distinct values": scores(4000, 1, 0), "many distinct values": scores(4000, 1, 1e-9)} {
		f := resample.Mean(values)
		mean, got, half := f.Value(), f.Interval(), 1.96*standardError(values)
		if math.Abs(got.Low-(mean-half)) > half/10 || math.Abs(got.High-(mean+half)) > half/10 {
			t.Errorf("%s: %v, want %v to %v", name, got, mean-half, mean+half)
		}
		if again := f.Interval(); again != got {
			t.Errorf("%s: %v, then %v", name, got, again)
		}
	}
}

// A figure of any kind has an interval, too: here the mean, computed from the samples.
func TestIntervalOfAnyFigure(t *testing.T) {
	values := scores(500, 2, 0.1)
	mean := func(rows []int) float64 {
		sum := 0.0
		for _, r := range rows {
			sum += values[r]
		}
		return sum / float64(len(rows))
	}
	f := resample.Of(len(values), mean)
	if want := resample.Mean(values); f.Value() != want.Value() || f.Interval() != want.Interval() || f.N() != 500 {
		t.Errorf("%v %v, want %v %v", f.Value(), f.Interval(), want.Value(), want.Interval())
	}
}

func TestIntervalsOfFewSamples(t *testing.T) {
	if f := (resample.Figure{}); !math.IsNaN(f.Value()) || !math.IsNaN(f.Interval().Low) || !math.IsNaN(f.Interval().High) {
		t.Errorf("of none: %v %v", f.Value(), f.Interval())
	}
	if got := resample.Mean([]float64{0.5}).Interval(); got != (resample.Interval{Low: 0.5, High: 0.5}) {
		t.Errorf("of one: %v", got)
	}
}

// Paired samples show a small difference that intervals of each model hide.
func TestComparePairsSamples(t *testing.T) {
	b := scores(400, 3, 0)
	a := make([]float64, len(b))
	for i := range a {
		a[i] = b[i]
		if i%20 == 0 {
			a[i]++ // one in twenty is better
		}
	}
	c := resample.Compare(resample.Mean(a), resample.Mean(b))
	if math.Abs(c.Difference-0.05) > 1e-12 || !(c.Interval.Low > 0.025 && c.Interval.High < 0.08) || c.P > 0.01 {
		t.Errorf("%+v", c)
	}
	if o := resample.Compare(resample.Mean(b), resample.Mean(a)); o.P > 0.01 || o.Difference != -c.Difference {
		t.Errorf("the other way round: %+v", o)
	}
	if own := resample.Mean(a).Interval(); own.High-own.Low < 0.05 {
		t.Errorf("the interval of one model is %v", own)
	}
}

// Equal models do not differ.
func TestCompareOfEqualModels(t *testing.T) {
	a := resample.Mean(scores(100, 4, 0))
	if c := resample.Compare(a, a); c.Difference != 0 || c.P != 1 || c.Interval != (resample.Interval{}) {
		t.Errorf("%+v", c)
	}
	any := resample.Of(100, func(rows []int) float64 { return float64(rows[0]) })
	if c := resample.Compare(any, any); c.Difference != 0 || c.P != 1 {
		t.Errorf("%+v", c)
	}
}

// Of models that differ by chance alone, about one in twenty looks different at 0.05.
func TestPValuesOfChance(t *testing.T) {
	low := 0
	for seed := range uint64(100) {
		if resample.Compare(resample.Mean(scores(150, 1000+seed, 0)), resample.Mean(scores(150, 5000+seed, 0))).P < 0.05 {
			low++
		}
	}
	if low > 14 {
		t.Errorf("%d of 100 p-values are below 0.05, want about 5", low)
	}
}

func TestComparePanicsOnOtherSamples(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	resample.Compare(resample.Mean([]float64{1}), resample.Mean([]float64{1, 2}))
}
