package report

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// scale makes the logarithmic axes of the chart. An axis begins at its smallest number.
func (c Chart) scale(p *plot.Plot, xOf func(Series) []float64) error {
	if c.LogX {
		if err := logarithmic(&p.X, c.values(xOf)); err != nil {
			return err
		}
	}
	if !c.LogY {
		return nil
	}
	values := c.values(func(s Series) []float64 { return s.Values })
	if c.Level != nil {
		values = append(values, c.Level.Value)
	}
	return logarithmic(&p.Y, values)
}

// values returns the numbers of all series.
func (c Chart) values(of func(Series) []float64) (all []float64) {
	for _, s := range c.Series {
		all = append(all, of(s)...)
	}
	return all
}

// logarithmic makes an axis logarithmic, with space for the given numbers.
func logarithmic(axis *plot.Axis, values []float64) error {
	axis.Min, axis.Max = math.Inf(1), 0
	for _, v := range values {
		if !(v > 0) {
			return fmt.Errorf("got %v on a logarithmic axis, want numbers above 0", v)
		}
		axis.Min, axis.Max = min(axis.Min, v), max(axis.Max, v)
	}
	if len(values) == 0 {
		axis.Min, axis.Max = 1, 10
	}
	axis.Min, axis.Max = axis.Min/1.1, axis.Max*1.1
	axis.Scale, axis.Tick.Marker = plot.LogScale{}, logTicks{}
	return nil
}

// logTicks has a tick at 1, 2 and 5 times each power of ten. Package plot's own ticks have labels at
// powers of ten alone, and a ladder of budgets may not cross one.
type logTicks struct{}

// Ticks implements [plot.Ticker].
func (logTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	for power := math.Floor(math.Log10(low)); power <= math.Ceil(math.Log10(high)); power++ {
		for _, digit := range []float64{1, 2, 5} {
			if v := digit * math.Pow(10, power); v >= low && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: short(v)})
			}
		}
	}
	return ticks
}

// short formats a number with a unit for thousands and millions.
func short(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if v >= 0.999*u.size {
			return strconv.FormatFloat(v/u.size, 'g', 3, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// above returns numbers that are at least low.
func above(numbers []float64, low float64) []float64 {
	if numbers == nil {
		return nil
	}
	all := make([]float64, len(numbers))
	for i, v := range numbers {
		all[i] = max(v, low)
	}
	return all
}
