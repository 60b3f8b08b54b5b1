package comparison

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/workspace"
)

// evaluate runs benchmarks on the runs of the comparison, except those of ladders. A task that fails does not
// stop the others: [Comparison.Err] names it.
func (c *Comparison) evaluate(ctx context.Context, w *workspace.Workspace, o runs.EvalOptions) error {
	if len(o.Tasks) == 0 {
		return nil
	}
	for _, v := range c.withoutLadders().Variants {
		for i := range v.Runs {
			run := &v.Runs[i]
			results, err := runs.Evaluate(ctx, w, run.Dir, o)
			run.tasks = results
			if ctx.Err() != nil {
				return err
			}
			if err != nil {
				c.unevaluated = errors.Join(c.unevaluated, fmt.Errorf("%s: %w", run.Dir, err))
			}
		}
	}
	return nil
}

// taskFigure is a main figure of a task.
type taskFigure struct{ task, key, heading string }

// taskFigures returns the main figures of all tasks that a run has, in the order of the tasks.
func (c *Comparison) taskFigures() []taskFigure {
	var all []taskFigure
	for _, run := range c.Runs() {
		for _, r := range run.tasks {
			for _, f := range r.Main() {
				t := taskFigure{task: r.Task.Name, key: f.Key, heading: r.Task.Name + ": " + f.Title}
				if !slices.Contains(all, t) {
					all = append(all, t)
				}
			}
		}
	}
	return all
}

// figureOf returns a figure of a run's task.
func (r Run) figureOf(t taskFigure) (benchmark.Figure, bool) {
	i := slices.IndexFunc(r.tasks, func(result *benchmark.Result) bool { return result.Task.Name == t.task })
	if i < 0 {
		return benchmark.Figure{}, false
	}
	return r.tasks[i].Figure(t.key)
}

// taskText formats a figure of a variant: with its 95 % interval if there is a single run, and otherwise the
// mean of the runs and their range.
func (v *Variant) taskText(t taskFigure) string {
	mean, low, high := 0.0, math.Inf(1), math.Inf(-1)
	var f benchmark.Figure
	for _, run := range v.Runs {
		var ok bool
		if f, ok = run.figureOf(t); !ok {
			return "-"
		}
		x := float64(f.Value)
		mean += x / float64(len(v.Runs))
		low, high = min(low, x), max(high, x)
	}
	if len(v.Runs) == 1 {
		low, high = float64(f.Interval[0]), float64(f.Interval[1])
	}
	return fmt.Sprintf("%s (%s to %s)", f.Text(mean), f.Text(low), f.Text(high))
}

// taskLine is a task's result in JSON.
type taskLine struct {
	N       int                   `json:"n"`
	Subset  benchmark.Subset      `json:"subset"`
	Digest  string                `json:"task_digest"`
	Figures map[string]figureLine `json:"figures"`
}

type figureLine struct {
	Value         benchmark.Number    `json:"value"`
	StandardError benchmark.Number    `json:"standard_error"`
	Interval      [2]benchmark.Number `json:"interval"`
}

// taskLines returns the results of a run's tasks by name; nil if it has none.
func (r Run) taskLines() map[string]taskLine {
	var lines map[string]taskLine
	for _, result := range r.tasks {
		line := taskLine{N: result.N, Subset: result.Subset, Digest: result.Task.Digest, Figures: map[string]figureLine{}}
		for _, f := range result.Figures {
			if f.By == "" {
				line.Figures[f.Key] = figureLine{f.Value, f.StandardError, f.Interval}
			}
		}
		if lines == nil {
			lines = map[string]taskLine{}
		}
		lines[result.Task.Name] = line
	}
	return lines
}
