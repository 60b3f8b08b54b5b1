package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
)

// comparison is what `bridge compare` puts side by side: groups of runs that
// differ in nothing but the seed.
type comparison struct {
	groups []*combination
	runs   []finishedRun
	failed []cellRun
}

// combination is runs that differ in the seed alone.
type combination struct {
	name   string // for people
	option string // of a matrix
	cold   bool   // that option is a baseline
	runs   []finishedRun
}

// finishedRun is a run as its folder tells it.
type finishedRun struct {
	summary
	result train.Result
	dir    string
}

// add puts a run folder into the group of that name.
func (c *comparison) add(name, option string, cold bool, dir string) error {
	s, err := readSummary(dir)
	if err != nil {
		return err
	}
	run := finishedRun{summary: s, dir: dir}
	data, err := os.ReadFile(filepath.Join(dir, resultFile))
	if err == nil {
		err = json.Unmarshal(data, &run.result)
	}
	if err != nil {
		return fmt.Errorf("read the result of %s: %w", dir, err)
	}
	c.runs = append(c.runs, run)
	for _, g := range c.groups {
		if g.name == name && option != "" {
			g.runs = append(g.runs, run)
			return nil
		}
	}
	c.groups = append(c.groups, &combination{name: name, option: option, cold: cold, runs: []finishedRun{run}})
	return nil
}

// addCells adds a matrix's runs.
func (c *comparison) addCells(m *recipes.Matrix, runs []cellRun) error {
	for _, run := range runs {
		if run.err != nil {
			c.failed = append(c.failed, run)
			continue
		}
		name := registry.FolderName(run.Encoder) + " + " + registry.FolderName(run.LLM)
		if len(m.Options) > 1 {
			name += ", " + run.Option
		}
		if err := c.add(name, run.Option, m.Options[run.Option].Cold, run.dir); err != nil {
			return err
		}
	}
	return nil
}

// first is what all runs of a group have in common.
func (g *combination) first() summary { return g.runs[0].summary }

// spread is a figure over a group's runs.
type spread struct{ mean, low, high float64 }

// over gathers a figure; ok is false where a run lacks it.
func (g *combination) over(of func(finishedRun) *float64) (s spread, ok bool) {
	s.low, s.high = math.Inf(1), math.Inf(-1)
	for _, run := range g.runs {
		v := of(run)
		if v == nil {
			return spread{}, false
		}
		s.mean += *v / float64(len(g.runs))
		s.low, s.high = min(s.low, *v), max(s.high, *v)
	}
	return s, true
}

// text is the mean and, of several runs, how far they lie apart.
func (g *combination) text(format string, of func(finishedRun) *float64) string {
	s, ok := g.over(of)
	switch {
	case !ok:
		return "-"
	case len(g.runs) == 1:
		return fmt.Sprintf(format, s.mean)
	}
	return fmt.Sprintf(format+" ("+format+" to "+format+")", s.mean, s.low, s.high)
}

func heldOut(r finishedRun) *float64    { return r.HeldOut }
func exactMatch(r finishedRun) *float64 { return r.ExactMatch }
func seconds(r finishedRun) *float64    { return &r.Seconds }

// curve is a quantity at the steps at which all runs of a group measured it.
type curve struct{ steps, seconds, mean, low, high []float64 }

func (g *combination) curve(of func(train.Scores) (float64, bool)) (c curve) {
	for _, at := range g.runs[0].result.Curve {
		var values []float64
		clock := 0.0
		for _, run := range g.runs {
			for _, s := range run.result.Curve {
				if v, ok := of(s); ok && s.Step == at.Step {
					values = append(values, v)
					clock += s.Seconds / float64(len(g.runs))
					break
				}
			}
		}
		if len(values) < len(g.runs) {
			continue
		}
		mean, low, high := 0.0, math.Inf(1), math.Inf(-1)
		for _, v := range values {
			mean += v / float64(len(values))
			low, high = min(low, v), max(high, v)
		}
		c.steps, c.seconds = append(c.steps, float64(at.Step)), append(c.seconds, clock)
		c.mean, c.low, c.high = append(c.mean, mean), append(c.low, low), append(c.high, high)
	}
	return c
}

// reaches returns where the mean first comes down to a value, between two
// measurements by a straight line.
func (c curve) reaches(value float64) (steps, seconds float64, ok bool) {
	for i, v := range c.mean {
		if v > value {
			continue
		}
		if i == 0 {
			return c.steps[0], c.seconds[0], true
		}
		part := (c.mean[i-1] - value) / (c.mean[i-1] - v)
		between := func(x []float64) float64 { return x[i-1] + part*(x[i]-x[i-1]) }
		return between(c.steps), between(c.seconds), true
	}
	return 0, 0, false
}

// saving is how soon a swap reached the cold start's final loss.
type saving struct {
	group, cold    *combination
	loss           float64 // of the cold start at its end
	steps, seconds float64
	reached        bool
}

// fraction is the part of the cold start's steps that it took.
func (s saving) fraction() float64 { return s.steps / float64(s.cold.first().Steps) }

// savings compares every combination with the cold starts of the same models.
func (c *comparison) savings() []saving {
	var all []saving
	for _, cold := range c.groups {
		if !cold.cold {
			continue
		}
		loss, ok := cold.over(heldOut)
		if !ok {
			continue
		}
		for _, g := range c.groups {
			if g.cold || g.first().Encoder != cold.first().Encoder || g.first().LLM != cold.first().LLM {
				continue
			}
			s := saving{group: g, cold: cold, loss: loss.mean}
			s.steps, s.seconds, s.reached = g.curve(lossOf).reaches(loss.mean)
			all = append(all, s)
		}
	}
	return all
}

func lossOf(s train.Scores) (float64, bool) { return s.Value(eval.MetricLoss) }

// fewCaptions is how many captions say too little to choose by.
const fewCaptions = 50

// advice is what to choose, from the figures alone: the best exact match and,
// where others are within half a point of it, the quickest of them. It says why
// where the figures do not tell.
func (c *comparison) advice() string {
	for _, run := range c.runs {
		switch first := c.runs[0]; {
		case run.HeldOutOn != first.HeldOutOn || run.Captions != first.Captions:
			return "The runs were measured on different held-out data, so their figures do not say which to choose."
		case run.Captions > 0 && run.Captions < fewCaptions:
			return fmt.Sprintf("%d captions are too few to choose by.", run.Captions)
		}
	}
	var best, chosen *combination
	var top float64
	for _, g := range c.groups {
		if s, ok := g.over(exactMatch); ok && (best == nil || s.mean > top) {
			best, top = g, s.mean
		}
	}
	if best == nil {
		return ""
	}
	if top == 0 {
		return "No combination captions a picture right yet: train them longer before choosing."
	}
	quickest := math.Inf(1)
	for _, g := range c.groups {
		s, ok := g.over(exactMatch)
		if t, _ := g.over(seconds); ok && s.mean >= top-0.005 && t.mean < quickest {
			chosen, quickest = g, t.mean
		}
	}
	text := fmt.Sprintf("Choose %s: exact match %s after %.0f s of training", chosen.name, chosen.text("%.3f", exactMatch), quickest)
	if chosen != best {
		text += fmt.Sprintf(", within half a point of the best, %s (%s after %s s)", best.name, best.text("%.3f", exactMatch), best.text("%.0f", seconds))
	}
	return text + "."
}
