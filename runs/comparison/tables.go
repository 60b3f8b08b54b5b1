package comparison

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/report"
)

// Tables returns the tables to print: the main metrics, and the cost of getting there.
func (c *Comparison) Tables() []report.Table {
	all := append([]report.Table{c.Table()}, append(c.LadderTables(), c.SpeedupTable())...)
	return slices.DeleteFunc(all, func(t report.Table) bool { return len(t.Rows) == 0 })
}

// Sentences returns the sentences to print below the tables: [Comparison.Conclusion], and
// [Comparison.Advice] if there is a choice. Empty ones are left out.
func (c *Comparison) Sentences() []string {
	conclusions := c.Conclusion()
	if advice := c.Advice(); advice != "" && len(c.withoutLadders().Variants) > 1 {
		conclusions = append(conclusions, advice)
	}
	return conclusions
}

// Table returns the main metrics of the comparison, one row a variant. [Comparison.LadderTables] has
// those of ladders.
func (c *Comparison) Table() report.Table {
	return c.withoutLadders().table("", eval.InSummary, nil)
}

// withoutLadders returns the comparison of the runs that are of no ladder.
func (c *Comparison) withoutLadders() *Comparison {
	return &Comparison{Variants: slices.DeleteFunc(slices.Clone(c.Variants), func(v *Variant) bool { return v.rung != nil })}
}

// metricsTable returns the report's table of all metrics.
func (c *Comparison) metricsTable() report.Table {
	return c.table("Results", eval.InFigures, []column{
		{"frozen", func(s runs.Summary) string { return registry.Known(s.Frozen, registry.Count) }},
		{"memory", func(s runs.Summary) string { return registry.Known(s.Memory, registry.Size) }},
	})
}

// column is a table column of a value that all runs of a variant share.
type column struct {
	heading string
	cell    func(runs.Summary) string
}

// table returns a table with one row a variant: its name, further columns, steps, seconds, the
// metrics of a view, and the main figures of benchmarks.
func (c *Comparison) table(title string, view eval.View, further []column) report.Table {
	t := report.Table{Title: title, Header: []string{"combination", "runs", "trainable"}}
	for _, f := range further {
		t.Header = append(t.Header, f.heading)
	}
	t.Header = append(t.Header, "steps", "seconds")
	for _, m := range eval.MetricsIn(view) {
		t.Header = append(t.Header, m.Column)
	}
	figures := c.taskFigures()
	for _, f := range figures {
		t.Header = append(t.Header, f.heading)
	}
	for _, v := range c.Variants {
		s := v.firstSummary()
		row := []string{v.Label(), strconv.Itoa(len(v.Runs)), registry.Count(int64(s.Trainable))}
		for _, f := range further {
			row = append(row, f.cell(s))
		}
		row = append(row, strconv.Itoa(s.Steps), v.text("%.0f", seconds))
		for _, m := range eval.MetricsIn(view) {
			row = append(row, v.text(m.Format, metricFuncOf(m)))
		}
		for _, f := range figures {
			row = append(row, v.taskText(f))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// SpeedupTable returns a table of [Comparison.Speedups].
func (c *Comparison) SpeedupTable() report.Table {
	t := report.Table{Title: "To the cold start's final loss",
		Header: []string{"combination", "against", "cold's loss", "cold's steps", "steps", "of cold's", "seconds", "of cold's"}}
	for _, s := range c.Speedups() {
		cold, _ := s.Cold.spreadOf(seconds)
		row := []string{s.Variant.Name, s.Cold.Option, fmt.Sprintf("%.3f", s.Loss), strconv.Itoa(s.Cold.firstSummary().Steps)}
		if s.Reached {
			row = append(row, fmt.Sprintf("%.0f", s.Steps), fmt.Sprintf("%.2f", s.Fraction()),
				fmt.Sprintf("%.0f", s.Seconds), fmt.Sprintf("%.2f", s.Seconds/cold.mean))
		} else {
			row = append(row, "not reached", "-", "-", "-")
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// kindsTable returns [runs.KindsTable] for the variants.
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

// runLine is a single run in JSON: its folder, the results of benchmarks if it has any, then its summary.
type runLine struct {
	folder  string
	tasks   map[string]taskLine
	summary runs.Summary
}

// MarshalJSON implements [json.Marshaler].
func (l runLine) MarshalJSON() ([]byte, error) {
	folder, err := json.Marshal(l.folder)
	if err != nil {
		return nil, err
	}
	summary, err := json.Marshal(l.summary)
	if err != nil {
		return nil, err
	}
	head := slices.Concat([]byte(`{"folder":`), folder)
	if l.tasks != nil {
		tasks, err := json.Marshal(l.tasks)
		if err != nil {
			return nil, err
		}
		head = slices.Concat(head, []byte(`,"tasks":`), tasks)
	}
	return slices.Concat(head, []byte(","), bytes.TrimPrefix(summary, []byte("{"))), nil
}

// matrixLine is a variant of a matrix in JSON.
type matrixLine struct {
	Name      string         `json:"name"`
	Runs      int            `json:"runs"`
	Summaries []runs.Summary `json:"summaries"`
	// Tasks has the results of benchmarks of each run.
	Tasks   []map[string]taskLine `json:"tasks,omitempty"`
	Steps   *float64              `json:"steps_to_colds_loss,omitempty"`
	Seconds *float64              `json:"seconds_to_colds_loss,omitempty"`
}

// Lines returns values to encode as lines of JSON, one a variant: the summary of a single run, or
// all summaries of a matrix's variant. A ladder has a line, and one for each verdict.
func (c *Comparison) Lines() []any {
	lines := c.ladderLines()
	speedups := c.Speedups()
	for _, v := range c.Variants {
		if v.rung != nil {
			continue
		}
		if v.Option == "" {
			lines = append(lines, runLine{v.Runs[0].Dir, v.Runs[0].taskLines(), v.firstSummary()})
			continue
		}
		line := matrixLine{Name: v.Name, Runs: len(v.Runs)}
		for _, run := range v.Runs {
			line.Summaries = append(line.Summaries, run.Summary)
			if tasks := run.taskLines(); tasks != nil {
				line.Tasks = append(line.Tasks, tasks)
			}
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
