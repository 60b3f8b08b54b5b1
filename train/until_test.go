package train_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/train"
)

// untilPlan returns a plan of 2 + 28 steps with an evaluation every other step. Its rate ends at
// a tenth of the peak.
func untilPlan() train.Plan {
	plan := warmupAndStage2(28)
	plan.CheckpointEvery, plan.Evaluation.Every = 1, 2
	plan.Phases[1].Schedule.MinFactor = 0.1
	return plan
}

// withAim returns the plan with the loss that it reaches first at an evaluation after step 12,
// and that step.
func withAim(t *testing.T, plan train.Plan) (train.Plan, int) {
	t.Helper()
	result, err := newSessionFor(t, plan, t.TempDir()).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lowest := math.Inf(1)
	for _, s := range result.Curve {
		if s.Step >= 12 && s.Step < 26 && s.Grounding.Right < lowest {
			plan.Until = &train.Until{Metric: eval.MetricLoss, Value: s.Grounding.Right, Patience: 100}
			return plan, s.Step
		}
		if s.Step >= 2 {
			lowest = min(lowest, s.Grounding.Right)
		}
	}
	t.Fatalf("no evaluation in the middle has the lowest loss so far: %+v", result.Curve)
	return plan, 0
}

func TestARunThatReachesItsAimEndsEarlyAndIsResumedInItsDecay(t *testing.T) {
	plan, step := withAim(t, untilPlan())
	decay := (step + 9) / 10 // 2 or 3
	dir := t.TempDir()
	result, err := newSessionFor(t, plan, dir).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u := result.Until
	if u == nil || u.Reason != train.UntilReached || u.Step != step || u.Value != plan.Until.Value || u.Steps != step+decay || u.Of != 30 {
		t.Fatalf("got %+v, want the loss %v at step %d and %d further steps", u, plan.Until.Value, step, decay)
	}
	if result.Steps != step+decay || result.Cost.Of("stage-2").Steps != int64(step+decay-2) {
		t.Errorf("got %d steps, counted %d in stage 2, want %d and %d", result.Steps, result.Cost.Of("stage-2").Steps, step+decay, step+decay-2)
	}
	rates := readMetric(t, dir, "stage-2/lr_qformer")
	if last := rates[len(rates)-1]; math.Abs(last-1e-4) > 1e-12 || rates[len(rates)-1-decay] < 2e-4 {
		t.Errorf("rates %v, want a fall to 1e-4 in the last %d steps", rates, decay)
	}
	whole := weightsOf(t, dir)
	for _, after := range []int{step - 1, step, step + 1} { // before the decision, at it, in the decay
		sameBits(t, resumed(t, plan, after-2), whole)
	}
}

// resumed interrupts a run after some steps of stage 2, resumes it and returns its weights.
func resumed(t *testing.T, plan train.Plan, steps int) map[string]*adapters.Tensor {
	t.Helper()
	dir := t.TempDir()
	first := newSessionFor(t, plan, dir)
	ctx, stop := context.WithCancel(t.Context())
	first.Train.Features = &interrupting{first.Train.Features, 1 + steps, stop} // the warm-up reads once
	if _, err := first.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped after %d steps: %v", steps, err)
	}
	second := newSessionFor(t, plan, dir)
	second.Resume = true
	if _, err := second.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return weightsOf(t, dir)
}

func TestARunThatNoLongerComesNearerEnds(t *testing.T) {
	plan := untilPlan()
	plan.Until = &train.Until{Metric: eval.MetricLoss, Value: 1e-9, Patience: 3}
	for module := range plan.Phases[1].Optimizer.LearningRate {
		plan.Phases[1].Optimizer.LearningRate[module] = 0
	}
	result, err := newSessionFor(t, plan, t.TempDir()).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The evaluation at step 2 is the first; those at 4, 6 and 8 are no nearer.
	if u := result.Until; u == nil || u.Reason != train.UntilNoNearer || u.Step != 8 || u.Steps != 9 {
		t.Errorf("got %+v, want an end at step 8 and one further step", u)
	}
}

func TestARunThatNeverDecidesMakesAllSteps(t *testing.T) {
	plan := untilPlan()
	plan.Phases[1].Schedule.Steps = 4
	plan.Until = &train.Until{Metric: eval.MetricLoss, Value: 1e-9, Patience: 3}
	result, err := newSessionFor(t, plan, t.TempDir()).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u := result.Until; u == nil || u.Reason != train.UntilLastStep || u.Steps != 6 || u.Of != 6 || u.Step != 0 {
		t.Errorf("got %+v, want all 6 steps", u)
	}
}

// A bridge that has the quality before the first step needs none.
func TestARunThatIsThereMakesNoStep(t *testing.T) {
	plan := stage2(4)
	plan.Evaluation.Every = 2
	plan.Until = &train.Until{Metric: eval.MetricLoss, Value: 1e9, Patience: 3}
	result, err := newSessionFor(t, plan, t.TempDir()).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u := result.Until; u == nil || u.Reason != train.UntilReached || u.Steps != 0 || result.Steps != 0 {
		t.Errorf("got %+v after %d steps, want none", u, result.Steps)
	}
}

func TestProblemsOfUntil(t *testing.T) {
	for want, change := range map[string]func(*train.Plan){
		"the metric is":    func(p *train.Plan) { p.Until.Metric = "loss_no_picture" },
		"the patience is":  func(p *train.Plan) { p.Until.Patience = 0 },
		"no evaluations":   func(p *train.Plan) { p.Evaluation.Every = 0 },
		"generate no capt": func(p *train.Plan) { p.Evaluation.Captions = 0 },
	} {
		plan := untilPlan()
		plan.Until = &train.Until{Metric: eval.MetricExactMatch, Value: 0.5, Patience: 3}
		change(&plan)
		if err := newSessionFor(t, plan, t.TempDir()).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
