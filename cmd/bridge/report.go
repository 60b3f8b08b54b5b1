package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/runs/report"
	"github.com/modular-bridging/bridge/train"
)

// arm is a finished run under the name that a report gives it.
type arm struct {
	name string
	outcome
}

// reportSamples is how many pictures a report shows.
const reportSamples = 24

// report puts finished runs on the bench's data side by side.
func (b *bench) report(title string, arms []arm) (report.Report, error) {
	r := report.Report{Title: title, Paragraphs: []string{fmt.Sprintf(
		"The encoder %s and the language model are frozen; only the bridge between them was trained. "+
			"All figures are of held-out data (%s), which nothing was trained on.", b.vision.Spec().ID, b.held.Data.Name())}}
	table := report.Table{Title: "Figures", Header: summaryHeader()}
	for _, a := range arms {
		row := a.summary.cells()
		row[0] = a.name
		table.Rows = append(table.Rows, row)
	}
	r.Tables = append(r.Tables, table)
	var names []string
	var runs [][]summary
	for _, a := range arms {
		names, runs = append(names, a.name), append(runs, []summary{a.summary})
	}
	if kinds := kindsTable(names, runs); len(kinds.Rows) > 0 {
		r.Tables = append(r.Tables, kinds)
	}
	r.Charts = charts(arms)
	return r, b.samples(&r, arms)
}

// kindsTable is how much is right of each kind of picture and of question, in
// each row all runs of a name together.
func kindsTable(names []string, runs [][]summary) report.Table {
	parts := []struct {
		prefix string
		of     func(summary) map[string]eval.Rate
	}{
		{"picture: ", func(s summary) map[string]eval.Rate { return s.ByKind }},
		{"question: ", func(s summary) map[string]eval.Rate { return s.Answers }},
	}
	kinds := map[string]bool{}
	totals := make([]map[string]eval.Rate, len(names))
	for i := range names {
		totals[i] = map[string]eval.Rate{}
		for _, run := range runs[i] {
			for _, part := range parts {
				for kind, rate := range part.of(run) {
					kind = part.prefix + cmp.Or(kind, "any")
					t := totals[i][kind]
					totals[i][kind] = eval.Rate{Right: t.Right + rate.Right, Of: t.Of + rate.Of}
					kinds[kind] = true
				}
			}
		}
	}
	t := report.Table{Title: "Right, by kind", Header: append([]string{"run"}, slices.Sorted(maps.Keys(kinds))...)}
	for i, name := range names {
		row := []string{name}
		for _, kind := range t.Header[1:] {
			cell := "-"
			if rate, ok := totals[i][kind]; ok {
				cell = fmt.Sprintf("%.3f of %d", rate.Fraction(), rate.Of)
			}
			row = append(row, cell)
		}
		if len(totals[i]) > 0 {
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// quantity is what a chart shows.
type quantity struct {
	title, label string
	of           func(train.Scores) (float64, bool)
}

func quantities() []quantity {
	return []quantity{
		{"Held-out loss", "nats per token", lossOf},
		{"Exact match of captions", "fraction", func(s train.Scores) (float64, bool) { return s.Value(eval.MetricExactMatch) }},
		{"Retrieval of the caption, R@1", "fraction", func(s train.Scores) (float64, bool) { return s.Value(eval.MetricTextR1) }},
	}
}

// charts are the curves of what was measured more than once.
func charts(arms []arm) []report.Chart {
	var all []report.Chart
	for _, q := range quantities() {
		chart := report.Chart{Title: q.title, YLabel: q.label}
		for _, a := range arms {
			line := report.Series{Name: a.name}
			for _, s := range a.result.Curve {
				if v, ok := q.of(s); ok {
					line.Steps, line.Seconds, line.Values = append(line.Steps, float64(s.Step)), append(line.Seconds, s.Seconds), append(line.Values, v)
				}
			}
			if len(line.Values) > 1 {
				chart.Series = append(chart.Series, line)
			}
		}
		if len(chart.Series) > 0 {
			all = append(all, chart)
		}
	}
	return all
}

// samples adds pictures with what every arm said of them.
func (b *bench) samples(r *report.Report, arms []arm) error {
	spec := b.vision.Spec().Image
	for _, a := range arms {
		if len(a.result.Samples) == 0 {
			return nil
		}
		r.Arms = append(r.Arms, a.name)
	}
	for i, s := range arms[0].result.Samples[:min(reportSamples, len(arms[0].result.Samples))] {
		pixels, err := b.held.Data.Image(s.Index)
		if err != nil {
			return err
		}
		sample := report.Sample{Image: report.FromRGB(pixels, spec.Width, spec.Height), Truth: s.Want}
		for _, a := range arms {
			sample.Captions = append(sample.Captions, a.result.Samples[i].Got)
		}
		r.Samples = append(r.Samples, sample)
	}
	return nil
}
