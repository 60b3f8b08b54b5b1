package runs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/runs/report"
	"github.com/modular-bridging/bridge/train/cost"
)

// namedRun is a finished run with its name in a report.
type namedRun struct {
	name string
	Outcome
}

// ReportSamples is the number of pictures in a report.
const ReportSamples = 24

// report returns the report of finished runs on the same data.
func (res *resources) report(title string, all []namedRun) (report.Report, error) {
	r := report.Report{Title: title, Paragraphs: []string{fmt.Sprintf(
		"The encoder %s and the language model are frozen; only the bridge between them was trained. "+
			"All results are on held-out data (%s), which was not used in training.", res.vision.Spec().ID, res.eval.Data.Name())}}
	for _, run := range all {
		if text := run.Summary.UntilText(); text != "" {
			r.Paragraphs = append(r.Paragraphs, run.name+": "+text)
		}
	}
	table := report.Table{Title: "Results", Header: SummaryHeader()}
	for _, run := range all {
		row := run.Summary.Cells()
		row[0] = run.name
		table.Rows = append(table.Rows, row)
	}
	r.Tables = append(r.Tables, table)
	var names []string
	var runs [][]Summary
	for _, t := range []report.Table{alsoTable(all), costTable(all)} {
		if len(t.Rows) > 0 {
			r.Tables = append(r.Tables, t)
		}
	}
	for _, run := range all {
		names, runs = append(names, run.name), append(runs, []Summary{run.Summary})
	}
	if kinds := KindsTable(names, runs); len(kinds.Rows) > 0 {
		r.Tables = append(r.Tables, kinds)
	}
	r.Charts = charts(all)
	return r, res.samples(&r, all)
}

// alsoTable returns a table of the results on further data sets.
func alsoTable(all []namedRun) report.Table {
	t := report.Table{Title: "On further held-out data", Header: []string{"run", "data", "captions"}}
	metrics := eval.MetricsIn(eval.InFigures)
	for _, m := range metrics {
		t.Header = append(t.Header, m.Column)
	}
	for _, run := range all {
		for _, set := range run.Summary.Also {
			row := []string{run.name, set.Data, strconv.Itoa(set.Captions)}
			for _, m := range metrics {
				cell := "-"
				if v, ok := set.Value(m); ok {
					cell = m.Text(v)
				}
				row = append(row, cell)
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// costTable returns a table of what the runs computed, by phase.
func costTable(all []namedRun) report.Table {
	t := report.Table{Title: "Cost, in passes of one example or picture", Header: append([]string{"run", "phase"}, CostHeader()...)}
	for _, run := range all {
		for _, p := range run.Summary.Cost {
			t.Rows = append(t.Rows, append([]string{run.name, p.Name}, CostCells(p.Count)...))
		}
	}
	return t
}

// CostHeader returns the column headings of [CostCells].
func CostHeader() []string {
	return []string{"steps", "LM forward + backward", "LM forward", "tokens generated", "Q-Former forward + backward", "Q-Former forward",
		"projection", "stage 1", "pictures encoded", "pictures from the cache", "token embedding calls"}
}

// CostCells returns a count as cells of a table.
func CostCells(c cost.Count) []string {
	var cells []string
	for _, n := range []int64{c.Steps, c.LanguagePasses, c.LanguageForwards, c.GeneratedTokens, c.QFormerPasses, c.QFormerForwards,
		c.ProjectionPasses, c.Stage1Passes, c.PicturesEncoded, c.PicturesCached, c.TokenEmbeddings} {
		cells = append(cells, strconv.FormatInt(n, 10))
	}
	return cells
}

// KindsTable returns a table of the fraction of right answers for each kind of picture and of
// question. Each row counts all runs with one name together.
func KindsTable(names []string, runs [][]Summary) report.Table {
	parts := []struct {
		prefix string
		of     func(Summary) map[string]eval.Rate
	}{
		{"picture: ", func(s Summary) map[string]eval.Rate { return s.ByKind }},
		{"question: ", func(s Summary) map[string]eval.Rate { return s.Answers }},
	}
	kinds := map[string]bool{}
	totals := make([]map[string]eval.Rate, len(names))
	for i := range names {
		totals[i] = map[string]eval.Rate{}
		for _, run := range runs[i] {
			for _, part := range parts {
				for kind, rate := range part.of(run) {
					kind = part.prefix + cmp.Or(kind, "any")
					if rate.Metric != "" {
						kind += " (" + rate.Metric + ")"
					}
					totals[i][kind] = totals[i][kind].Plus(rate)
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

// charts returns the curves of metrics that were measured more than once.
func charts(all []namedRun) []report.Chart {
	var drawn []report.Chart
	for _, m := range eval.MetricsIn(eval.InCharts) {
		chart := report.Chart{Title: m.Title, YLabel: m.Unit}
		for _, run := range all {
			line := report.Series{Name: run.name}
			for _, s := range run.Result.Curve {
				if v, ok := m.Of(s.Results); ok {
					line.Steps, line.Seconds = append(line.Steps, float64(s.Step)), append(line.Seconds, s.Seconds)
					line.Values = append(line.Values, v)
				}
			}
			if len(line.Values) > 1 {
				chart.Series = append(chart.Series, line)
			}
		}
		if len(chart.Series) > 0 {
			drawn = append(drawn, chart)
		}
	}
	return drawn
}

// samples adds pictures with the captions of all runs.
func (res *resources) samples(r *report.Report, all []namedRun) error {
	for _, run := range all {
		if len(run.Result.Samples) == 0 {
			return nil
		}
		r.Runs = append(r.Runs, run.name)
	}
	for i, s := range all[0].Result.Samples[:min(ReportSamples, len(all[0].Result.Samples))] {
		picture, err := res.eval.Data.Image(s.Index)
		if err != nil { // read again: the file may have gone since it was encoded
			res.workspace.Log().Warn("a picture is not shown in the report", "reason", err)
			continue
		}
		sample := report.Sample{Image: report.FromRGB(picture), Truth: s.Want}
		for _, run := range all {
			sample.Captions = append(sample.Captions, run.Result.Samples[i].Got)
			if i < len(run.Said) {
				sample.Notes = append(sample.Notes, noteOfWords(run.name, run.Said[i]))
			}
		}
		r.Samples = append(r.Samples, sample)
	}
	return nil
}
