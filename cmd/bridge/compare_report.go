package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/runs/report"
)

// groupLine is a group as --json shows it.
type groupLine struct {
	Name    string    `json:"name"`
	Runs    int       `json:"runs"`
	Summary []summary `json:"summaries"`
	Steps   *float64  `json:"steps_to_colds_loss,omitempty"`
	Seconds *float64  `json:"seconds_to_colds_loss,omitempty"`
}

func (p *program) printComparison(asJSON bool, c *comparison) error {
	if asJSON {
		return p.printGroups(c)
	}
	header := []string{"combination", "runs", "trainable", "steps", "seconds", "held-out loss", "exact match", "retrieval R@1"}
	var rows [][]string
	for _, g := range c.groups {
		s := g.first()
		rows = append(rows, []string{g.label(), strconv.Itoa(len(g.runs)), registry.Count(int64(s.Trainable)), strconv.Itoa(s.Steps), g.text("%.0f", seconds),
			g.text("%.3f", heldOut), g.text("%.3f", exactMatch), g.text("%.3f", func(r finishedRun) *float64 { return r.RetrievalT })})
	}
	if err := p.table(header, rows); err != nil {
		return err
	}
	if t := savingsTable(c); len(t.Rows) > 0 {
		fmt.Fprintln(p.stdout)
		if err := p.table(t.Header, t.Rows); err != nil {
			return err
		}
	}
	if advice := c.advice(); advice != "" && len(c.groups) > 1 {
		fmt.Fprintf(p.stdout, "\n%s\n", advice)
	}
	return nil
}

// label names a group with what it joins, where its name does not say it.
func (g *combination) label() string {
	s := g.first()
	if g.option != "" {
		return g.name
	}
	return fmt.Sprintf("%s (%s + %s)", g.name, s.Encoder, orDash(s.LLM))
}

// printGroups prints finished runs, one a line, or the groups of a matrix.
func (p *program) printGroups(c *comparison) error {
	savings := c.savings()
	for _, g := range c.groups {
		if g.option == "" {
			line := struct {
				Folder string `json:"folder"`
				summary
			}{g.runs[0].dir, g.first()}
			if err := p.printJSON(line); err != nil {
				return err
			}
			continue
		}
		line := groupLine{Name: g.name, Runs: len(g.runs)}
		for _, run := range g.runs {
			line.Summary = append(line.Summary, run.summary)
		}
		for _, s := range savings {
			if s.group == g && s.reached {
				line.Steps, line.Seconds = &s.steps, &s.seconds
			}
		}
		if err := p.printJSON(line); err != nil {
			return err
		}
	}
	return nil
}

// reportComparison writes one file that shows everything.
func (p *program) reportComparison(c *comparison, out string) error {
	r := report.Report{Title: "Combinations side by side", Paragraphs: []string{
		"Frozen vision encoders and language models, joined by a Q-Former that alone was trained. All figures are of held-out data, which nothing was trained on; " +
			"several runs of a combination differ in the seed, and show their mean and, in brackets or as a band, how far they lie apart."}}
	if advice := c.advice(); advice != "" {
		r.Paragraphs = append(r.Paragraphs, advice)
	}
	r.Tables = append(r.Tables, figuresTable(c))
	for _, t := range []report.Table{savingsTable(c), c.kinds()} {
		if len(t.Rows) > 0 {
			r.Tables = append(r.Tables, t)
		}
	}
	for _, q := range quantities() {
		chart := report.Chart{Title: q.title, YLabel: q.label}
		for _, g := range c.groups {
			if line := g.curve(q.of); len(line.mean) > 1 {
				s := report.Series{Name: g.name, Steps: line.steps, Seconds: line.seconds, Values: line.mean}
				if len(g.runs) > 1 {
					s.Low, s.High = line.low, line.high
				}
				chart.Series = append(chart.Series, s)
			}
		}
		if len(chart.Series) > 0 {
			r.Charts = append(r.Charts, chart)
		}
	}
	if err := p.compareSamples(&r, c); err != nil {
		return err
	}
	for _, f := range c.failed {
		r.Paragraphs = append(r.Paragraphs, fmt.Sprintf("Failed: %s: %v", f.Name(), f.err))
	}
	r.Footer = "Made by bridge compare."
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	return r.WriteFile(filepath.Join(out, reportFile))
}

func figuresTable(c *comparison) report.Table {
	t := report.Table{Title: "Figures", Header: []string{"combination", "runs", "trainable", "frozen", "memory", "steps", "seconds", "held-out loss",
		"… with another picture", "… with none", "exact match", "CIDEr-D", "retrieval R@1"}}
	for _, g := range c.groups {
		s := g.first()
		t.Rows = append(t.Rows, []string{g.label(), strconv.Itoa(len(g.runs)), registry.Count(int64(s.Trainable)), known(s.Frozen, registry.Count), known(s.Memory, registry.Size),
			strconv.Itoa(s.Steps), g.text("%.0f", seconds), g.text("%.3f", heldOut), g.text("%.2f", grounding(func(x *eval.Grounding) float64 { return x.Other })),
			g.text("%.2f", grounding(func(x *eval.Grounding) float64 { return x.None })), g.text("%.3f", exactMatch),
			g.text("%.2f", func(r finishedRun) *float64 { return r.CIDErD }), g.text("%.3f", func(r finishedRun) *float64 { return r.RetrievalT })})
	}
	return t
}

func grounding(of func(*eval.Grounding) float64) func(finishedRun) *float64 {
	return func(r finishedRun) *float64 {
		if r.Grounding == nil {
			return nil
		}
		v := of(r.Grounding)
		return &v
	}
}

// savingsTable says how soon each way to swap came to the cold start's end.
func savingsTable(c *comparison) report.Table {
	t := report.Table{Title: "To the cold start's final loss", Header: []string{"combination", "against", "cold's loss", "cold's steps", "steps", "of cold's", "seconds", "of cold's"}}
	for _, s := range c.savings() {
		cold, _ := s.cold.over(seconds)
		row := []string{s.group.name, s.cold.option, fmt.Sprintf("%.3f", s.loss), strconv.Itoa(s.cold.first().Steps), "not reached", "-", "-", "-"}
		if s.reached {
			row = append(row[:4], fmt.Sprintf("%.0f", s.steps), fmt.Sprintf("%.2f", s.fraction()), fmt.Sprintf("%.0f", s.seconds), fmt.Sprintf("%.2f", s.seconds/cold.mean))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// kinds is [kindsTable] of the comparison's groups.
func (c *comparison) kinds() report.Table {
	names, runs := make([]string, len(c.groups)), make([][]summary, len(c.groups))
	for i, g := range c.groups {
		names[i] = g.name
		for _, run := range g.runs {
			runs[i] = append(runs[i], run.summary)
		}
	}
	return kindsTable(names, runs)
}

// compareSamples shows held-out pictures with what each combination said of
// them: of the groups whose first runs were evaluated on the first's data.
func (p *program) compareSamples(r *report.Report, c *comparison) error {
	var pictures data.Dataset
	var shown []*combination
	var source recipes.Source
	for _, g := range c.groups {
		if len(g.runs[0].result.Samples) == 0 {
			continue
		}
		recipe, err := recipes.Load(filepath.Join(g.runs[0].dir, recipeFile))
		if err != nil {
			p.log.Warn("a run's pictures are not shown", "run", g.runs[0].dir, "reason", err)
			continue
		}
		if pictures == nil {
			if pictures, err = openPictures(recipe.Data.Eval); err != nil {
				p.log.Warn("the pictures are not shown", "reason", err)
				return nil
			}
			source = recipe.Data.Eval
		}
		if recipe.Data.Eval == source {
			shown = append(shown, g)
			r.Arms = append(r.Arms, g.name)
		}
	}
	if len(shown) == 0 {
		return nil
	}
	for i, s := range shown[0].runs[0].result.Samples[:min(reportSamples, len(shown[0].runs[0].result.Samples))] {
		pixels, err := pictures.Image(s.Index)
		if err != nil {
			return err
		}
		sample := report.Sample{Image: report.FromRGB(pixels, sampleSide, sampleSide), Truth: s.Want}
		for _, g := range shown {
			text := ""
			if all := g.runs[0].result.Samples; i < len(all) && all[i].Index == s.Index {
				text = all[i].Got
			}
			sample.Captions = append(sample.Captions, text)
		}
		r.Samples = append(r.Samples, sample)
	}
	return nil
}

// sampleSide is how large pictures are in a comparison, in pixels.
const sampleSide = 96

func openPictures(s recipes.Source) (data.Dataset, error) {
	d, _, err := openSource(s, false, adapters.ImageSpec{Width: sampleSide, Height: sampleSide, Resample: "bicubic", Mode: "squash"})
	return d, err
}
