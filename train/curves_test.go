package train_test

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// Evaluations are counted over all phases. If each phase counted its own, the curves of runs
// with and without a warm-up could not be compared.
func TestEvaluationsAreCountedOverAllPhases(t *testing.T) {
	for _, c := range []struct {
		every, warmup, steps int
		want                 []int
	}{
		{2, 3, 4, []int{0, 2, 3, 4, 6, 7}}, // 3 is the end of a phase
		{2, 1, 3, []int{0, 1, 2, 4}},       // the last is the final evaluation, once
		{2, 2, 2, []int{0, 2, 4}},          // a phase's end that was due anyway, once
		{9, 1, 2, []int{0, 1, 3}},
		{0, 1, 2, []int{1, 3}},
	} {
		lm := fakeLanguage()
		plan := onePhase(objective.PromptCaption(), c.warmup)
		plan.Phases = append(plan.Phases, plan.Phases[0])
		plan.Phases[1].Name, plan.Phases[1].Schedule.Steps = "second", c.steps
		plan.Evaluation = train.Evaluation{Every: c.every, Examples: 2}
		result, err := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir()).Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var steps []int
		for _, s := range result.Curve {
			steps = append(steps, s.Step)
			if s.Grounding == nil {
				t.Errorf("every %d: nothing was measured at step %d", c.every, s.Step)
			}
		}
		if !slices.Equal(steps, c.want) {
			t.Errorf("every %d steps of %d and %d: evaluated at %v, want %v", c.every, c.warmup, c.steps, steps, c.want)
		}
	}
}

// Learning rates rise linearly and then fall along a cosine.
func TestLearningRatesFollowWarmupAndCosine(t *testing.T) {
	const steps, warmup, floor = 7, 3, 0.1
	plan, dir := onePhase(objective.PromptCaption(), steps), t.TempDir()
	plan.Phases[0].Schedule = optim.Schedule{Steps: steps, Warmup: warmup, MinFactor: floor}
	plan.Phases[0].Optimizer.LearningRate = map[train.Module]float64{train.QFormer: 1e-3, train.Projection: 4e-3}
	lm := fakeLanguage()
	if _, err := newSession(t, tinyFor(t, lm, 0), lm, plan, dir).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for module, peak := range plan.Phases[0].Optimizer.LearningRate {
		got := readMetric(t, dir, "only/lr_"+string(module))
		if len(got) != steps {
			t.Fatalf("%d rates of %s, want %d", len(got), module, steps)
		}
		for i, rate := range got {
			want := peak * float64(i+1) / warmup
			if i+1 > warmup {
				progress := float64(i+1-warmup) / (steps - warmup)
				want = peak * (floor + (1-floor)*(1+math.Cos(math.Pi*progress))/2)
			}
			if math.Abs(rate-want) > 1e-12 {
				t.Errorf("step %d: the rate of %s is %g, want %g", i+1, module, rate, want)
			}
		}
	}
}

// The test above reads the rates in the log; this one checks that the optimizer uses them.
// AdamW's first step moves a bias by the rate, half of the peak here. A step at rate 0, the end
// of the cosine, moves nothing.
func TestStepsUseTheScheduledRates(t *testing.T) {
	const peak = 1e-3
	for name, c := range map[string]struct {
		objective  objective.Objective
		accumulate int
	}{
		"stage 1":         {objective.Representation(), 1},
		"stage 2":         {objective.PromptCaption(), 1},
		"in two portions": {objective.PromptCaption(), 2},
	} {
		t.Run(name, func(t *testing.T) {
			lm := fakeLanguage()
			b := tiny(t, 0)
			if c.objective.Stage != 1 {
				b = tinyFor(t, lm, 0)
			}
			initial, dir := weightsNow(t, b), t.TempDir()
			plan := onePhase(c.objective, 3)
			plan.CheckpointEvery = 1
			plan.Phases[0].Schedule.Warmup, plan.Phases[0].Accumulate = 2, c.accumulate
			s := newSession(t, b, lm, plan, dir)
			s.Keep = 3
			if _, err := s.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			at := func(step string) map[string]*adapters.Tensor {
				return weightsIn(t, filepath.Join(dir, "checkpoints", step))
			}
			if moved := farthestBias(initial, at("step-000001")); math.Abs(moved-peak/2) > peak/50 {
				t.Errorf("the first step moves biases by %g, want %g", moved, peak/2)
			}
			if moved := farthestBias(at("step-000001"), at("step-000002")); moved < peak/2 {
				t.Errorf("the step at the peak moves biases by %g", moved)
			}
			sameBits(t, at("step-000003"), at("step-000002"))
		})
	}
}

// farthestBias returns the largest change of an element of a bias. Decay does not apply to
// biases.
func farthestBias(from, to map[string]*adapters.Tensor) (moved float64) {
	for name, w := range from {
		if !strings.HasSuffix(name, ".bias") {
			continue
		}
		for i, v := range w.Float32s() {
			moved = max(moved, math.Abs(float64(to[name].Float32s()[i]-v)))
		}
	}
	return moved
}
