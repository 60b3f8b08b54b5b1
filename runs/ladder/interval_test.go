package ladder

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// reference holds the values that tools/reference/intervals.py wrote with numpy and scipy.
type reference struct {
	Tables []struct {
		A, B               []Bits
		Mean, Difference   float64
		MeanInterval       [2]float64 `json:"mean_interval"`
		DifferenceInterval [2]float64 `json:"difference_interval"`
	}
	Students []struct {
		A, B          []float64
		Mean, Ratio   float64
		MeanInterval  [2]float64 `json:"mean_interval"`
		RatioInterval [2]float64 `json:"ratio_interval"`
	}
	// Pairs are of the runs in pair.results.json.
	Pairs []struct {
		A, B               string // names of rungs
		Seeds              int    // that both have
		Difference, Ratio  float64
		DifferenceInterval [2]float64 `json:"difference_interval"`
		RatioInterval      [2]float64 `json:"ratio_interval"`
	}
}

func readReference(t *testing.T) (r reference) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "intervals.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Tables) < 6 || len(r.Students) < 4 || len(r.Pairs) < 2 {
		t.Fatalf("%d tables, %d samples of values and %d pairs", len(r.Tables), len(r.Students), len(r.Pairs))
	}
	return r
}

// wantInterval checks an interval. The bounds of a bootstrap are random: within is the allowed
// difference.
func wantInterval(t *testing.T, what string, got Interval, mean float64, bounds [2]float64, within float64) {
	t.Helper()
	if math.Abs(got.Mean-mean) > 1e-12 || math.Abs(got.Low-bounds[0]) > within || math.Abs(got.High-bounds[1]) > within {
		t.Errorf("%s: got %v to %v around %v, want %v around %v (bounds within %v)", what, got.Low, got.High, got.Mean, bounds, mean, within)
	}
}

// The bootstrap's intervals are those of numpy and scipy, up to the error of 10,000 samples: a
// tenth of the standard deviation, which is a fortieth of the interval's width.
func TestBootstrapIsThatOfTheReference(t *testing.T) {
	for _, c := range readReference(t).Tables {
		a, b := rows(c.A), rows(c.B)
		cell := 1 / float64(len(a)*len(a[0]))
		width := c.DifferenceInterval[1] - c.DifferenceInterval[0]
		wantInterval(t, "difference", Difference(a, b), c.Difference, c.DifferenceInterval, width/40+cell)
		width = c.MeanInterval[1] - c.MeanInterval[0]
		wantInterval(t, "mean", Mean(a), c.Mean, c.MeanInterval, width/40+cell)
	}
}

// rows returns the bits of several runs.
func rows(all []Bits) (exact [][]bool) {
	for _, b := range all {
		exact = append(exact, b)
	}
	return exact
}

func TestStudentsIntervalsAreThoseOfSciPy(t *testing.T) {
	for _, c := range readReference(t).Students {
		wantInterval(t, "mean", overSeeds(c.A), c.Mean, c.MeanInterval, 1e-9)
		wantInterval(t, "ratio", ratio(c.A, c.B), c.Ratio, c.RatioInterval, 1e-9)
	}
}

// A difference that is the same for every seed and picture has an interval without width, and the
// same call gives the same bounds.
func TestBootstrapIsExactAndDeterministic(t *testing.T) {
	all, none := [][]bool{{true, true}, {true, true}}, [][]bool{{false, false}, {false, false}}
	for _, c := range []struct {
		a, b [][]bool
		want float64
	}{{all, none, 1}, {none, all, -1}, {all, all, 0}} {
		if got := Difference(c.a, c.b); got != (Interval{c.want, c.want, c.want}) {
			t.Errorf("got %+v, want %v everywhere", got, c.want)
		}
	}
	c := readReference(t).Tables[3]
	if a, b := Difference(rows(c.A), rows(c.B)), Difference(rows(c.A), rows(c.B)); a != b {
		t.Errorf("two calls give %+v and %+v", a, b)
	}
}

// With one seed, a loss has no interval, in text and in JSON.
func TestOneSeedHasNoIntervalOverSeeds(t *testing.T) {
	i := overSeeds([]float64{0.25})
	text, err := json.Marshal(i)
	if err != nil || string(text) != `{"mean":0.25}` || i.Text("%.2f") != "0.25" {
		t.Errorf("got %s and %q (%v)", text, i.Text("%.2f"), err)
	}
	text, err = json.Marshal(Interval{2, 1, 3})
	if err != nil || string(text) != `{"mean":2,"low":1,"high":3}` {
		t.Errorf("got %s (%v)", text, err)
	}
}
