package comparison

import (
	"fmt"
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

// WriteReport writes one file that shows everything into a folder.
func (c *Comparison) WriteReport(w *workspace.Workspace, dir string) error {
	r := report.Report{Title: "Combinations side by side", Footer: "Made by bridge compare.", Paragraphs: []string{
		"Frozen vision encoders and language models, joined by a Q-Former that alone was trained. All figures are of held-out data, which nothing was trained on; " +
			"several runs of a combination differ in the seed, and show their mean and, in brackets or as a band, how far they lie apart."}}
	if advice := c.Advice(); advice != "" {
		r.Paragraphs = append(r.Paragraphs, advice)
	}
	r.Tables = append(r.Tables, c.figuresTable())
	for _, t := range []report.Table{c.SpeedupTable(), c.kindsTable()} {
		if len(t.Rows) > 0 {
			r.Tables = append(r.Tables, t)
		}
	}
	r.Charts = c.charts()
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

// charts returns the curves of metrics that were measured more than once. Several runs
// of a variant make a band.
func (c *Comparison) charts() []report.Chart {
	var all []report.Chart
	for _, m := range eval.MetricsIn(eval.InCharts) {
		chart := report.Chart{Title: m.Title, YLabel: m.Unit}
		for _, v := range c.Variants {
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

// addSamples shows pictures with the captions of each variant whose first run was
// evaluated on the same data as the first variant's.
func (c *Comparison) addSamples(w *workspace.Workspace, r *report.Report) error {
	shown, pictures := c.sampled(w)
	if len(shown) == 0 {
		return nil
	}
	for _, v := range shown {
		r.Runs = append(r.Runs, v.Name)
	}
	first := shown[0].Runs[0].result.Samples
	for i, s := range first[:min(runs.ReportSamples, len(first))] {
		picture, err := pictures.Image(s.Index)
		if err != nil {
			return err
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

// sampled returns the variants whose captions can be shown, and their pictures.
func (c *Comparison) sampled(w *workspace.Workspace) (shown []*Variant, pictures data.Dataset) {
	var source recipes.Source
	for _, v := range c.Variants {
		run := v.Runs[0]
		if len(run.result.Samples) == 0 {
			continue
		}
		recipe, err := recipes.Load(filepath.Join(run.Dir, recipes.RunFile))
		if err != nil {
			w.Log().Warn("a run's pictures are not shown", "run", run.Dir, "reason", err)
			continue
		}
		if pictures == nil {
			if pictures, err = openPictures(recipe.Data.Eval); err != nil {
				w.Log().Warn("the pictures are not shown", "reason", err)
				return nil, nil
			}
			source = recipe.Data.Eval
		}
		if recipe.Data.Eval == source {
			shown = append(shown, v)
		}
	}
	return shown, pictures
}

// sampleSide is the side of a picture in the report, in pixels.
const sampleSide = 96

func openPictures(s recipes.Source) (data.Dataset, error) {
	d, _, err := runs.OpenSource(s, false, adapters.ImageSpec{Width: sampleSide, Height: sampleSide, Resample: "bicubic", Mode: "squash"})
	return d, err
}
