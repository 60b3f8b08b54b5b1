package train_test

import (
	"math"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/train/objective"
)

// A mean that was taken over each micro-batch, and not over the tokens of the whole batch,
// would make accumulation another training. AdamW divides a gradient by its size, so
// where a gradient is only rounding it would step in a random direction: a large epsilon
// keeps the steps proportional to the gradients.
func TestAccumulationEqualsTheWholeBatch(t *testing.T) {
	const rate, epsilon = 0.01, 1e-3
	run := func(accumulate int) (losses, norms []float64, trained map[string]*adapters.Tensor) {
		plan, dir := onePhase(objective.PromptCaption(), 4), t.TempDir()
		phase := &plan.Phases[0]
		phase.Accumulate, phase.Mix.Questions, phase.Optimizer.Epsilon = accumulate, 0.5, epsilon // examples of many lengths
		for m := range phase.Optimizer.LearningRate {
			phase.Optimizer.LearningRate[m] = rate
		}
		lm := fakeLanguage()
		if _, err := newSession(t, tinyFor(t, lm, 0), lm, plan, dir).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return readMetric(t, dir, "only/loss"), readMetric(t, dir, "only/grad_norm"), weightsOf(t, dir)
	}
	losses, norms, whole := run(1)
	if moved := farthest(whole, weightsNow(t, tinyFor(t, fakeLanguage(), 0))); moved < 1e-2 {
		t.Fatalf("four steps move no weight by more than %g, so that this test says nothing", moved)
	}
	for _, accumulate := range []int{2, 4} {
		partLosses, partNorms, parts := run(accumulate)
		for i := range losses {
			if math.Abs(partLosses[i]-losses[i]) > 1e-6*losses[i] || math.Abs(partNorms[i]-norms[i]) > 1e-5*norms[i] {
				t.Errorf("step %d in %d parts: loss %g and gradient norm %g, at once %g and %g", i+1, accumulate, partLosses[i], partNorms[i], losses[i], norms[i])
			}
		}
		if far := farthest(parts, whole); far > 1e-6 {
			t.Errorf("four steps in %d parts end up to %g from those at once", accumulate, far)
		}
	}
}

// farthest is the largest difference of two bridges' weights.
func farthest(a, b map[string]*adapters.Tensor) (far float64) {
	for name, w := range b {
		for i, v := range w.Float32s() {
			far = max(far, math.Abs(float64(a[name].Float32s()[i]-v)))
		}
	}
	return far
}

// A run that is told to stop waits for the state. A graph that was compiled while a step
// holds it would make the run deaf for minutes.
func TestNothingIsCompiledWhileTheStateIsLocked(t *testing.T) {
	for name, c := range map[string]struct {
		objective  objective.Objective
		accumulate int
	}{
		"stage 1":           {objective.Representation(), 1},
		"stage 2":           {objective.PromptCaption(), 1},
		"two micro-batches": {objective.PromptCaption(), 2},
	} {
		t.Run(name, func(t *testing.T) {
			graphs, backend := 0, &watchedBackend{Backend: backends.ForTest(t), compiling: func(string) {}}
			lm := fakeLanguage()
			b := tinyOn(t, backend, 0)
			if c.objective.Stage == 2 {
				b = join(t, b, lm)
			}
			plan := onePhase(c.objective, 3)
			plan.Phases[0].Accumulate, plan.CheckpointEvery = c.accumulate, 1
			s := newSession(t, b, lm, plan, t.TempDir())
			backend.compiling = func(graph string) {
				if graphs++; s.StateLocked() {
					t.Errorf("graph %q is compiled while the state is locked", graph)
				}
			}
			if _, err := s.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if graphs == 0 {
				t.Error("no graph was seen")
			}
		})
	}
}
