package comparison

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/report"
	"github.com/modular-bridging/bridge/workspace"
)

// WriteReport writes the comparison as an HTML report, [runs.ReportFile] in a folder.
func (c *Comparison) WriteReport(w *workspace.Workspace, dir string) error {
	r := report.Report{Title: "Comparison of combinations", Footer: "Made by bridge compare.", Paragraphs: []string{
		"A Q-Former joins a frozen vision encoder and a frozen language model; only the Q-Former was trained. " +
			"All results are on held-out data, which was not used in training. " +
			"Several runs of one combination differ only in the seed: the report shows their mean, " +
			"and their range in brackets or as a band."}}
	if advice := c.Advice(); advice != "" {
		r.Paragraphs = append(r.Paragraphs, advice)
	}
	c.addLadders(&r)
	for _, t := range []report.Table{c.metricsTable(), c.SpeedupTable(), c.kindsTable()} {
		if len(t.Rows) > 0 {
			r.Tables = append(r.Tables, t)
		}
	}
	r.Charts = append(r.Charts, c.charts()...)
	if err := c.addSamples(w, &r); err != nil {
		return err
	}
	for _, f := range c.Failed {
		r.Paragraphs = append(r.Paragraphs, fmt.Sprintf("Failed: %s: %v", f.Name(), f.Err))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return r.WriteFile(filepath.Join(dir, runs.ReportFile))
}

// addLadders adds the tables and curves of ladders, and what they mean.
func (c *Comparison) addLadders(r *report.Report) {
	if len(c.Climbs) == 0 {
		return
	}
	r.Paragraphs = append(r.Paragraphs, "Every budget is a run of its own, with its full schedule. A budget counts steps at the baseline's batch: "+
		"an option with another batch takes as many steps as see the same number of examples. OPTION@BUDGET names the runs of both. Q* is the highest budget of the baseline, "+
		"and C the cost of the lowest one that is not inferior to it. Exact match has the 95 % interval of a bootstrap over seeds and pictures, "+
		"loss Student's interval over the seeds. docs/swapping.md describes the method.")
	r.Paragraphs = append(r.Paragraphs, c.Conclusion()...)
	r.Tables = append(r.Tables, c.LadderTables()...)
	for _, j := range c.judged() {
		r.Charts = append(r.Charts, j.charts()...)
	}
}

// charts returns the curves of metrics that were measured more than once. If a variant has
// several runs, its curve has a band.
func (c *Comparison) charts() []report.Chart {
	var all []report.Chart
	for _, m := range eval.MetricsIn(eval.InCharts) {
		chart := report.Chart{Title: m.Title, YLabel: m.Unit}
		for _, v := range c.withoutLadders().Variants {
			line := v.curve(m)
			if len(line.mean) < 2 {
				continue
			}
			s := report.Series{Name: v.Name, Steps: line.steps, Seconds: line.seconds, Values: line.mean}
			if len(v.Runs) > 1 {
				s.Low, s.High = line.low, line.high
			}
			chart.Series = append(chart.Series, s)
		}
		if len(chart.Series) > 0 {
			all = append(all, chart)
		}
	}
	return all
}

// addSamples adds pictures with captions to the report. It shows the captions of each variant's
// first run, if that was evaluated on the same data as the first variant's.
func (c *Comparison) addSamples(w *workspace.Workspace, r *report.Report) error {
	shown, pictures := c.sampledVariants(w)
	if len(shown) == 0 {
		return nil
	}
	if c, ok := pictures.(io.Closer); ok {
		defer w.Closer(c)()
	}
	for _, v := range shown {
		r.Runs = append(r.Runs, v.Name)
	}
	first := shown[0].Runs[0].result.Samples
	for i, s := range first[:min(runs.ReportSamples, len(first))] {
		picture, err := pictures.Image(s.Index)
		if err != nil {
			w.Log().Warn("a picture is not shown in the report", "reason", err)
			continue
		}
		sample := report.Sample{Image: report.FromRGB(picture), Truth: s.Want}
		for _, v := range shown {
			text := ""
			if all := v.Runs[0].result.Samples; i < len(all) && all[i].Index == s.Index {
				text = all[i].Got
			}
			sample.Captions = append(sample.Captions, text)
		}
		r.Samples = append(r.Samples, sample)
	}
	return nil
}

// sampledVariants returns the variants with captions to show, and the pictures.
func (c *Comparison) sampledVariants(w *workspace.Workspace) (shown []*Variant, pictures data.Dataset) {
	var source recipes.Source
	for _, v := range c.Variants {
		run := v.Runs[0]
		if len(run.result.Samples) == 0 || v.rung != nil && !v.rung.highest {
			continue
		}
		recipe, err := recipes.Load(filepath.Join(run.Dir, recipes.RunFile))
		if err != nil {
			w.Log().Warn("a run's pictures are not shown", "run", run.Dir, "reason", err)
			continue
		}
		recipe.Data = recipe.Data.WithPaths(w.Moved)
		if pictures == nil {
			if pictures, err = openPictures(w, run.Dir, recipe.Data); err != nil {
				w.Log().Warn("the pictures are not shown", "reason", err)
				return nil, nil
			}
			source = recipe.Data.Eval
		}
		if recipe.Data.Eval.Equal(source) {
			shown = append(shown, v)
		}
	}
	return shown, pictures
}

// sampleSide is the width and height of a picture in the report, in pixels.
const sampleSide = 96

// openPictures opens a run's held-out data, with the run's rows, at the size of the report's
// pictures.
func openPictures(w *workspace.Workspace, dir string, d recipes.Data) (data.Dataset, error) {
	return runs.OpenEval(context.Background(), w, dir, d, adapters.ImageSpec{Width: sampleSide, Height: sampleSide, Resample: "bicubic", Mode: "squash"})
}
