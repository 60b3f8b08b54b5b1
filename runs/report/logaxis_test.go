package report

import (
	"strings"
	"testing"
)

// overCost is a chart with logarithmic axes and a level.
func overCost() Chart {
	return Chart{Title: "Loss over cost", YLabel: "nats", XLabel: "passes", LogX: true, LogY: true, Level: &Level{Name: "the best", Value: 0.02},
		Series: []Series{{Name: "cold", Steps: []float64{6400, 12800, 819200}, Values: []float64{1.5, 0.5, 0.02}, Low: []float64{1, -0.1, 0}, High: []float64{2, 1, 0.03}}}}
}

// A chart over cost has its own label, ticks between powers of ten, and a legend for the level. A
// band that reaches zero ends at the bottom of the chart.
func TestLogarithmicChart(t *testing.T) {
	html := render(t, Report{Title: "x", Charts: []Chart{overCost()}})
	for _, want := range []string{">passes<", ">10k<", ">20k<", ">500k<", ">0.1<", "the best"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q in the report", want)
		}
	}
	for _, wrong := range []string{">steps<", ">seconds<", "NaN", "Inf"} {
		if strings.Contains(html, wrong) {
			t.Errorf("%q in the report", wrong)
		}
	}
	if n := strings.Count(html, "<svg"); n != 3 {
		t.Errorf("%d drawings, want the chart and two strokes in the legend", n)
	}
}

// Numbers that a logarithmic axis cannot show are refused.
func TestLogarithmicChartsRefuseZero(t *testing.T) {
	for what, change := range map[string]func(*Chart){
		"over passes": func(c *Chart) { c.Series[0].Steps[0] = 0 }, "a value": func(c *Chart) { c.Series[0].Values[2] = -1 }, "level": func(c *Chart) { c.Level.Value = 0 },
	} {
		c := overCost()
		change(&c)
		err := Report{Charts: []Chart{c}}.Write(&strings.Builder{})
		if err == nil || !strings.Contains(err.Error(), "on a logarithmic axis, want numbers above 0") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestShortNumbers(t *testing.T) {
	for want, v := range map[string]float64{"0.05": 0.05, "5": 5, "500": 500, "1k": 1000, "20k": 20000, "1M": 1e6} {
		if got := short(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}
