package train

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/train/optim"
)

// Until ends the last phase of a plan early: at the first evaluation of that phase at which a
// metric has reached a value, or no longer comes nearer to it. Then the learning rate falls to
// the schedule's end over a tenth of the steps done so far, in all phases, but not beyond the
// schedule's last step.
//
// The decision depends on the evaluations alone, which every checkpoint holds. So a run that is
// resumed, also during the decay, continues bit for bit.
type Until struct {
	Metric string  // name of one of [eval.Metrics]
	Value  float64 // to reach
	// Patience is the number of evaluations in a row that do not come nearer, after which the
	// phase ends. An evaluation comes nearer if the distance to Value, or the held-out loss, is
	// at least 2 % below the smallest one before.
	Patience int
}

// nearer is the factor by which an evaluation that comes nearer lowers the distance or the loss.
const nearer = 0.98

// Reasons for the end of a run with an [Until].
const (
	UntilReached  = "reached"   // the value was reached
	UntilNoNearer = "no nearer" // no evaluation came nearer for too long
	UntilLastStep = "last step" // neither happened before the recipe's last step
)

// UntilResult says how a run with an [Until] ended.
type UntilResult struct {
	Metric string  `json:"metric"`
	Want   float64 `json:"want"`
	Reason string  `json:"reason"`
	// Step is the step, of all phases, at which the decay began, and Value the metric there. Both
	// are 0 if the run ended with the recipe's last step.
	Step  int     `json:"step,omitempty"`
	Value float64 `json:"value,omitempty"`
	Final float64 `json:"final"` // the metric at the last evaluation
	Steps int     `json:"steps"` // that the run made, in all phases
	Of    int     `json:"of"`    // steps of the recipe, in all phases
}

// checkUntil returns an error if the plan's Until cannot be decided.
func (s *Session) checkUntil() error {
	u := s.Plan.Until
	if u == nil {
		return nil
	}
	metric, ok := eval.MetricNamed(u.Metric)
	switch {
	case !ok || metric.Better == eval.Neither:
		return adapters.Errorf(adapters.Invalid, "until: the metric is %q, want one for which higher or lower is better", u.Metric)
	case u.Patience < 1:
		return adapters.Errorf(adapters.Invalid, "until: the patience is %d evaluations, want at least 1", u.Patience)
	case s.Plan.Evaluation.Every < 1:
		return adapters.Errorf(adapters.Invalid, "until: the plan has no evaluations between its steps").WithRemedy("set evaluation.every")
	case metric.Captions != nil && s.Plan.Evaluation.Captions < 1:
		return adapters.Errorf(adapters.Invalid, "until: the plan's evaluations generate no captions, which %s is of", metric.Column).
			WithRemedy("set evaluation.captions")
	}
	return nil
}

// distance returns how far a value is from the one to reach; 0 or less if it is reached.
func (u Until) distance(value float64) float64 {
	if metric, _ := eval.MetricNamed(u.Metric); metric.Better == eval.Lower {
		return value - u.Value
	}
	return u.Value - value
}

// decision is the end of a phase, decided after a step of all phases.
type decision struct {
	step   int
	value  float64
	reason string
}

// decide returns the first decision of evaluations from a step on.
func (u Until) decide(scores []Scores, from int) (decision, bool) {
	best, lowest, stale := math.Inf(1), math.Inf(1), 0
	for _, score := range scores {
		value, ok := score.Value(u.Metric)
		if !ok || score.Step < from {
			continue
		}
		distance, loss := u.distance(value), math.Inf(1)
		if score.Grounding != nil {
			loss = score.Grounding.Right
		}
		stale++
		if distance < nearer*best || loss < nearer*lowest {
			stale = 0
		}
		best, lowest = min(best, distance), min(lowest, loss)
		switch {
		case distance <= 0:
			return decision{score.Step, value, UntilReached}, true
		case stale >= u.Patience:
			return decision{score.Step, value, UntilNoNearer}, true
		}
	}
	return decision{}, false
}

// expect returns the step at which the value will be reached if the last three evaluations go on:
// the logarithm of the metric's distance to its best possible value changes linearly. It reports
// false if it does not fall.
func (u Until) expect(scores []Scores) (step int, ok bool) {
	var steps, logs []float64
	for _, score := range scores {
		if value, ok := score.Value(u.Metric); ok {
			steps, logs = append(steps, float64(score.Step)), append(logs, math.Log(u.error(value)))
		}
	}
	if len(steps) < 2 {
		return 0, false
	}
	first := max(0, len(steps)-3)
	intercept, slope := stat.LinearRegression(steps[first:], logs[first:], nil, false)
	at := (math.Log(u.error(u.Value)) - intercept) / slope
	if !(slope < 0) || at > math.MaxInt32 {
		return 0, false
	}
	return max(int(math.Ceil(at)), int(steps[len(steps)-1])), true
}

// error returns the distance of a value to the metric's best possible one, but never 0.
func (u Until) error(value float64) float64 {
	perfect := map[string]float64{eval.MetricExactMatch: 1, eval.MetricCIDErD: 10}[u.Metric]
	return max(1e-4, math.Abs(perfect-value))
}

// stepsBefore returns the steps of all phases before the last.
func (s *Session) stepsBefore() (steps int) {
	for _, phase := range s.Plan.Phases[:len(s.Plan.Phases)-1] {
		steps += phase.Schedule.Steps
	}
	return steps
}

// decision returns the decision of the run's evaluations so far.
func (s *Session) decision() (decision, bool) {
	if s.Plan.Until == nil {
		return decision{}, false
	}
	return s.Plan.Until.decide(s.scores, s.stepsBefore())
}

// schedule returns the schedule of a phase of the plan, with its early end once that is decided.
func (s *Session) schedule(phase Phase) optim.Schedule {
	schedule := phase.Schedule
	if phase.Name != s.Plan.Phases[len(s.Plan.Phases)-1].Name {
		return schedule
	}
	if d, ok := s.decision(); ok {
		after := d.step - s.stepsBefore()
		tenth := (d.step + 9) / 10
		schedule.Early = &optim.Early{After: after, Steps: min(tenth, schedule.Steps-after)}
	}
	return schedule
}

// logUntil logs after an evaluation how far the run is from its end.
func (s *Session) logUntil() {
	u := s.Plan.Until
	if u == nil || len(s.scores) == 0 || s.scores[len(s.scores)-1].Step != s.stepsDone {
		return
	}
	metric, _ := eval.MetricNamed(u.Metric)
	value, ok := s.scores[len(s.scores)-1].Value(u.Metric)
	if !ok {
		return
	}
	last := s.Plan.Phases[len(s.Plan.Phases)-1]
	all := s.stepsBefore() + last.Schedule.Steps
	fields := []any{metric.Column, metric.Text(value), "want", metric.Text(u.Value), "step", s.stepsDone}
	d, decided := s.decision()
	step, expected := u.expect(s.scores)
	switch {
	case decided && d.step < s.stepsDone || s.stepsDone >= all:
	case decided:
		s.Log.Info("until: "+d.reason+"; the learning rate now falls to its end", append(fields, "last step", s.stepsBefore()+s.schedule(last).Length())...)
	case !expected:
		s.Log.Info("until: not reached; no end is in sight yet", append(fields, "last step", all)...)
	case step > all:
		s.Log.Info("until: not reached; it would take more steps than the recipe has", append(fields, "expected at step", step, "last step", all)...)
	default:
		s.Log.Info("until: not reached", append(fields, "expected at step", step, "last step", all)...)
	}
}

// untilResult says how the run ended. It returns nil if the plan has no Until.
func (s *Session) untilResult(final Scores) *UntilResult {
	u := s.Plan.Until
	if u == nil {
		return nil
	}
	r := &UntilResult{Metric: u.Metric, Want: u.Value, Reason: UntilLastStep, Steps: s.stepsDone,
		Of: s.stepsBefore() + s.Plan.Phases[len(s.Plan.Phases)-1].Schedule.Steps}
	r.Final, _ = final.Value(u.Metric)
	// The last evaluation may be of other captions than those before, so it decides nothing.
	before := slices.DeleteFunc(slices.Clone(s.scores), func(score Scores) bool { return score.Step >= s.stepsDone && r.Steps == r.Of })
	if d, ok := u.decide(before, s.stepsBefore()); ok {
		r.Reason, r.Step, r.Value = d.reason, d.step, d.value
	}
	return r
}
