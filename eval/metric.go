package eval

import (
	"fmt"
	"slices"
)

// Metric describes a figure of evaluations: its name, where its value comes from, where it
// is written, and how it is shown.
type Metric struct {
	// Name names the metric in Go and is its key in JSON.
	Name string
	// Series names the metric in metrics.jsonl and in TensorBoard. Empty means that it is
	// not written there.
	Series string

	Title  string    // of charts: "Exact match of captions"
	Column string    // heading of table columns: "exact match"
	Unit   string    // "fraction", "nats per token"
	Format string    // of values: "%.3f"
	Better Direction // the direction in which a model improves
	Views  View      // what shows the metric

	// Captions computes the metric from generated captions: got[i] of a picture with
	// references[i], one or more. Nil if the metric is not of captions.
	Captions func(got []string, references [][]string) float64
	// Value reads the metric from what an evaluation measured, and reports false if the
	// evaluation did not measure it. Nil for metrics of captions.
	Value func(r Results) (float64, bool)
}

// Direction says which values of a metric are better.
type Direction int

// The directions. Neither is for figures that are only compared with others.
const (
	Neither Direction = iota
	Higher
	Lower
)

// View is a set of tables and charts.
type View uint

// The views of runs.
const (
	InSummary View = 1 << iota // the table that commands print
	InFigures                  // the table of all figures, in the report of a comparison
	InCharts                   // curves over the steps
)

// In reports whether a view shows the metric.
func (m Metric) In(v View) bool { return m.Views&v != 0 }

// Of returns the metric's value in what an evaluation measured. It reports false if the
// evaluation did not measure it.
func (m Metric) Of(r Results) (float64, bool) {
	if m.Value != nil {
		return m.Value(r)
	}
	v, ok := r.Values[m.Name]
	return v, ok
}

// Names of metrics that Go code reads by name.
const (
	MetricLoss       = "held_out_loss"
	MetricExactMatch = "exact_match"
	MetricCIDErD     = "cider_d"
	MetricTextR1     = "text_r1"
	MetricImageR1    = "image_r1"
)

// Metrics returns the metrics of evaluations, in the order of tables. A new metric of
// captions is a line here and a function.
func Metrics() []Metric {
	return []Metric{
		{
			Name: MetricLoss, Series: "held_out/loss",
			Title: "Held-out loss", Column: "held-out loss", Unit: "nats per token", Format: "%.3f",
			Better: Lower, Views: InSummary | InFigures | InCharts,
			Value: ofGrounding(func(g Grounding) float64 { return g.Right }),
		},
		{
			Name: "loss_other_picture", Series: "held_out/loss_other_picture",
			Title: "Held-out loss with another picture", Column: "… with another picture", Unit: "nats per token", Format: "%.2f",
			Views: InFigures,
			Value: ofGrounding(func(g Grounding) float64 { return g.Other }),
		},
		{
			Name: "loss_no_picture", Series: "held_out/loss_no_picture",
			Title: "Held-out loss with no picture", Column: "… with none", Unit: "nats per token", Format: "%.2f",
			Views: InFigures,
			Value: ofGrounding(func(g Grounding) float64 { return g.None }),
		},
		{
			Name: MetricExactMatch, Series: "held_out/exact_match",
			Title: "Exact match of captions", Column: "exact match", Unit: "fraction", Format: "%.3f",
			Better: Higher, Views: InSummary | InFigures | InCharts,
			Captions: ExactMatch,
		},
		{
			Name: MetricCIDErD, Series: "held_out/cider_d",
			Title: "CIDEr-D of captions", Column: "CIDEr-D", Unit: "0 to 10", Format: "%.2f",
			Better: Higher, Views: InFigures,
			Captions: MeanCIDErD,
		},
		{
			Name: MetricTextR1, Series: "held_out/text_r1",
			Title: "Retrieval of the caption, R@1", Column: "retrieval R@1", Unit: "fraction", Format: "%.3f",
			Better: Higher, Views: InSummary | InFigures | InCharts,
			Value: ofRetrieval(func(r Retrieval) float64 { return r.TextR1 }),
		},
		{
			Name: MetricImageR1, Series: "held_out/image_r1",
			Title: "Retrieval of the picture, R@1", Column: "picture R@1", Unit: "fraction", Format: "%.3f",
			Better: Higher,
			Value:  ofRetrieval(func(r Retrieval) float64 { return r.ImageR1 }),
		},
	}
}

func ofGrounding(read func(Grounding) float64) func(Results) (float64, bool) {
	return func(r Results) (float64, bool) {
		if r.Grounding == nil {
			return 0, false
		}
		return read(*r.Grounding), true
	}
}

func ofRetrieval(read func(Retrieval) float64) func(Results) (float64, bool) {
	return func(r Results) (float64, bool) {
		if r.Retrieval == nil {
			return 0, false
		}
		return read(*r.Retrieval), true
	}
}

// MetricsIn returns the metrics that a view shows.
func MetricsIn(v View) []Metric {
	return slices.DeleteFunc(Metrics(), func(m Metric) bool { return !m.In(v) })
}

// Text formats a value of the metric.
func (m Metric) Text(value float64) string { return fmt.Sprintf(m.Format, value) }

// MetricNamed returns the metric of [Metrics] with a name.
func MetricNamed(name string) (Metric, bool) {
	all := Metrics()
	i := slices.IndexFunc(all, func(m Metric) bool { return m.Name == name })
	if i < 0 {
		return Metric{}, false
	}
	return all[i], true
}
