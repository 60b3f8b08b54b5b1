package comparison

import (
	"fmt"
	"strconv"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/report"
)

// Table returns the comparison as a terminal shows it: a row a variant.
func (c *Comparison) Table() report.Table {
	t := report.Table{Header: []string{"combination", "runs", "trainable", "steps", "seconds", "held-out loss", "exact match", "retrieval R@1"}}
	for _, v := range c.Variants {
		s := v.first()
		t.Rows = append(t.Rows, []string{v.Label(), strconv.Itoa(len(v.Runs)), registry.Count(int64(s.Trainable)), strconv.Itoa(s.Steps), v.text("%.0f", seconds),
			v.text("%.3f", evalLoss), v.text("%.3f", exactMatch), v.text("%.3f", textRecall)})
	}
	return t
}

// SpeedupTable returns how soon each variant reached the cold start's final loss.
func (c *Comparison) SpeedupTable() report.Table {
	t := report.Table{Title: "To the cold start's final loss", Header: []string{"combination", "against", "cold's loss", "cold's steps", "steps", "of cold's", "seconds", "of cold's"}}
	for _, s := range c.Speedups() {
		cold, _ := s.Cold.over(seconds)
		row := []string{s.Variant.Name, s.Cold.Option, fmt.Sprintf("%.3f", s.Loss), strconv.Itoa(s.Cold.first().Steps), "not reached", "-", "-", "-"}
		if s.Reached {
			row = append(row[:4], fmt.Sprintf("%.0f", s.Steps), fmt.Sprintf("%.2f", s.Fraction()), fmt.Sprintf("%.0f", s.Seconds), fmt.Sprintf("%.2f", s.Seconds/cold.mean))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// figuresTable returns all figures: the table of the report.
func (c *Comparison) figuresTable() report.Table {
	t := report.Table{Title: "Figures", Header: []string{"combination", "runs", "trainable", "frozen", "memory", "steps", "seconds", "held-out loss",
		"… with another picture", "… with none", "exact match", "CIDEr-D", "retrieval R@1"}}
	for _, v := range c.Variants {
		s := v.first()
		t.Rows = append(t.Rows, []string{v.Label(), strconv.Itoa(len(v.Runs)), registry.Count(int64(s.Trainable)), registry.Known(s.Frozen, registry.Count), registry.Known(s.Memory, registry.Size),
			strconv.Itoa(s.Steps), v.text("%.0f", seconds), v.text("%.3f", evalLoss), v.text("%.2f", grounding(func(x *eval.Grounding) float64 { return x.Other })),
			v.text("%.2f", grounding(func(x *eval.Grounding) float64 { return x.None })), v.text("%.3f", exactMatch),
			v.text("%.2f", ciderD), v.text("%.3f", textRecall)})
	}
	return t
}

func grounding(value func(*eval.Grounding) float64) func(Run) *float64 {
	return func(r Run) *float64 {
		if r.Grounding == nil {
			return nil
		}
		v := value(r.Grounding)
		return &v
	}
}

// kindsTable is [runs.KindsTable] of the comparison's variants.
func (c *Comparison) kindsTable() report.Table {
	names, all := make([]string, len(c.Variants)), make([][]runs.Summary, len(c.Variants))
	for i, v := range c.Variants {
		names[i] = v.Name
		for _, run := range v.Runs {
			all[i] = append(all[i], run.Summary)
		}
	}
	return runs.KindsTable(names, all)
}

// matrixLine is the variant of a matrix's option as one line of JSON.
type matrixLine struct {
	Name      string         `json:"name"`
	Runs      int            `json:"runs"`
	Summaries []runs.Summary `json:"summaries"`
	Steps     *float64       `json:"steps_to_colds_loss,omitempty"`
	Seconds   *float64       `json:"seconds_to_colds_loss,omitempty"`
}

// Lines returns the comparison as values that are encoded as lines of JSON: of a single run
// its summary, of a matrix's option all of its runs.
func (c *Comparison) Lines() []any {
	var lines []any
	speedups := c.Speedups()
	for _, v := range c.Variants {
		if v.Option == "" {
			lines = append(lines, struct {
				Folder string `json:"folder"`
				runs.Summary
			}{v.Runs[0].Dir, v.first()})
			continue
		}
		line := matrixLine{Name: v.Name, Runs: len(v.Runs)}
		for _, run := range v.Runs {
			line.Summaries = append(line.Summaries, run.Summary)
		}
		for _, s := range speedups {
			if s.Variant == v && s.Reached {
				line.Steps, line.Seconds = &s.Steps, &s.Seconds
			}
		}
		lines = append(lines, line)
	}
	return lines
}
