package comparison

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/train"
)

// Comparison is a set of runs to compare.
type Comparison struct {
	Variants []*Variant
	Climbs   []Climb // of matrices with a ladder
	Failed   []runs.MatrixResult

	against     ladder.RungName // that ladders compare with; zero: their Q*
	unevaluated error           // of benchmarks that failed
}

// Variant is a single run, or the runs of a matrix that differ only in the seed: they have the
// same frozen models and the same option. Tables and reports print "combination" for it.
type Variant struct {
	Name   string // for people
	Option string // option of a matrix; empty for a single run
	Cold   bool   // the option is a cold start, the baseline
	Runs   []Run

	rung *rungVariant // nil if the runs are not of a ladder
}

// rungVariant reports whether a ladder's variant has the highest budget of its option.
type rungVariant struct{ highest bool }

// Run is a finished run, read from its folder.
type Run struct {
	runs.Summary
	Dir    string
	result train.Result
	tasks  []*benchmark.Result // those of [Options.Eval] that did not fail
}

// Runs returns all finished runs.
func (c *Comparison) Runs() []Run {
	var all []Run
	for _, v := range c.Variants {
		all = append(all, v.Runs...)
	}
	return all
}

// Add reads a finished run's folder and adds the run. A run of a matrix, which has an option, is
// added to the variant with its name.
func (c *Comparison) Add(name, option string, cold bool, dir string) error {
	return c.add(Variant{Name: name, Option: option, Cold: cold}, dir)
}

// add adds the run in a folder to the variant with the name of v, or to v as a new one.
func (c *Comparison) add(v Variant, dir string) error {
	s, err := runs.ReadSummary(dir)
	if err != nil {
		return err
	}
	run := Run{Summary: s, Dir: dir}
	if run.result, err = runs.ReadResult(dir); err != nil {
		return err
	}
	for _, old := range c.Variants {
		if old.Name == v.Name && v.Option != "" {
			old.Runs = append(old.Runs, run)
			return nil
		}
	}
	v.Runs = []Run{run}
	c.Variants = append(c.Variants, &v)
	return nil
}

// AddMatrix adds the runs of a matrix.
func (c *Comparison) AddMatrix(m *recipes.Matrix, all []runs.MatrixResult) error {
	for _, run := range all {
		if run.Err != nil {
			c.Failed = append(c.Failed, run)
			continue
		}
		name := registry.FolderName(run.Encoder) + " + " + registry.FolderName(run.LLM)
		if len(m.Options) > 1 {
			name += ", " + run.Option
		}
		if err := c.Add(name, run.Option, m.Options[run.Option].Cold, run.Dir); err != nil {
			return err
		}
	}
	return nil
}

// Empty reports whether there is nothing to compare.
func (c *Comparison) Empty() bool { return len(c.Variants) == 0 && len(c.Climbs) == 0 }

// Err returns an error that counts the runs that failed, names the benchmarks that did, or says that there
// is nothing to compare. It is nil otherwise.
func (c *Comparison) Err() error { return errors.Join(c.runsErr(), c.unevaluated) }

func (c *Comparison) runsErr() error {
	switch {
	case len(c.Failed) == 0 && c.Empty():
		return adapters.Errorf(adapters.NotFound, "nothing to compare: no run is finished").WithRemedy("train runs first: leave out --limit and --only")
	case len(c.Failed) == 0:
		return nil
	case c.Empty():
		return fmt.Errorf("nothing to compare: every run failed (%d); the first is %s: %v",
			len(c.Failed), c.Failed[0].Name(), c.Failed[0].Err)
	}
	return fmt.Errorf("%d of %d runs failed; the first is %s: %v",
		len(c.Failed), len(c.Failed)+len(c.Runs()), c.Failed[0].Name(), c.Failed[0].Err)
}

// firstSummary returns the summary of the first run, for values that all runs of a variant
// share.
func (v *Variant) firstSummary() runs.Summary { return v.Runs[0].Summary }

// Label returns the variant's name. For a single run, it adds the frozen models.
func (v *Variant) Label() string {
	s := v.firstSummary()
	if v.Option != "" {
		return v.Name
	}
	return fmt.Sprintf("%s (%s + %s)", v.Name, s.Encoder, cmp.Or(s.LLM, "-"))
}

// metricFunc reads a number from a run. The second result is false if the run does not have it.
type metricFunc func(Run) (float64, bool)

// metricFuncOf returns the function that reads a metric.
func metricFuncOf(m eval.Metric) metricFunc {
	return func(r Run) (float64, bool) { return r.Value(m) }
}

// metricNamed returns the function that reads a metric of package eval.
func metricNamed(name string) metricFunc {
	m, _ := eval.MetricNamed(name)
	return metricFuncOf(m)
}

func seconds(r Run) (float64, bool) { return r.Seconds, true }

// spread summarizes a number over a variant's runs.
type spread struct{ mean, low, high float64 }

// spreadOf summarizes a number over the runs. ok is false if a run does not have it.
func (v *Variant) spreadOf(f metricFunc) (s spread, ok bool) {
	s.low, s.high = math.Inf(1), math.Inf(-1)
	for _, run := range v.Runs {
		x, ok := f(run)
		if !ok {
			return spread{}, false
		}
		s.mean += x / float64(len(v.Runs))
		s.low, s.high = min(s.low, x), max(s.high, x)
	}
	return s, true
}

// text formats the mean and, if there are several runs, the lowest and the highest value.
func (v *Variant) text(format string, f metricFunc) string {
	s, ok := v.spreadOf(f)
	switch {
	case !ok:
		return "-"
	case len(v.Runs) == 1:
		return fmt.Sprintf(format, s.mean)
	}
	return fmt.Sprintf(format+" ("+format+" to "+format+")", s.mean, s.low, s.high)
}

// curve is a metric over training, at the steps at which all runs of a variant measured it.
type curve struct{ steps, seconds, mean, low, high []float64 }

// curve returns the curve of a metric.
func (v *Variant) curve(m eval.Metric) (c curve) {
	for _, at := range v.Runs[0].result.Curve {
		values, clock := v.valuesAt(at.Step, m)
		if len(values) < len(v.Runs) {
			continue
		}
		mean, low, high := 0.0, math.Inf(1), math.Inf(-1)
		for _, x := range values {
			mean += x / float64(len(values))
			low, high = min(low, x), max(high, x)
		}
		c.steps, c.seconds = append(c.steps, float64(at.Step)), append(c.seconds, clock)
		c.mean, c.low, c.high = append(c.mean, mean), append(c.low, low), append(c.high, high)
	}
	return c
}

// valuesAt returns a metric of each run that measured it at a step, and the mean time to reach
// the step in seconds.
func (v *Variant) valuesAt(step int, m eval.Metric) (values []float64, clock float64) {
	for _, run := range v.Runs {
		for _, s := range run.result.Curve {
			if x, ok := m.Of(s.Results); ok && s.Step == step {
				values = append(values, x)
				clock += s.Seconds / float64(len(v.Runs))
				break
			}
		}
	}
	return values, clock
}

// firstBelow returns the step and the time at which the mean first reaches a value from above,
// interpolated between two measurements.
func (c curve) firstBelow(value float64) (steps, seconds float64, ok bool) {
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

// Speedup says when a variant reached the final loss of the cold start.
type Speedup struct {
	Variant, Cold  *Variant
	Loss           float64 // final loss of the cold start
	Steps, Seconds float64 // until the variant reached that loss
	Reached        bool
}

// Fraction returns Steps as a fraction of the cold start's steps.
func (s Speedup) Fraction() float64 { return s.Steps / float64(s.Cold.firstSummary().Steps) }

// Speedups compares every variant with the cold starts of the same frozen models.
func (c *Comparison) Speedups() []Speedup {
	var all []Speedup
	evalLoss, _ := eval.MetricNamed(eval.MetricLoss)
	for _, cold := range c.Variants {
		if !cold.Cold {
			continue
		}
		loss, ok := cold.spreadOf(metricFuncOf(evalLoss))
		if !ok {
			continue
		}
		for _, v := range c.Variants {
			if v.Cold || v.firstSummary().Encoder != cold.firstSummary().Encoder || v.firstSummary().LLM != cold.firstSummary().LLM {
				continue
			}
			s := Speedup{Variant: v, Cold: cold, Loss: loss.mean}
			s.Steps, s.Seconds, s.Reached = v.curve(evalLoss).firstBelow(loss.mean)
			all = append(all, s)
		}
	}
	return all
}
