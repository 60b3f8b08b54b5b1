package train_test

import (
	"context"
	"errors"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

// interrupting ends a run's context after some batches of features.
type interrupting struct {
	from featurecache.Features
	left int
	stop context.CancelFunc
}

func (f *interrupting) Features(ctx context.Context, rows []int) (*adapters.Tensor, error) {
	if f.left--; f.left < 0 {
		f.stop()
		return nil, ctx.Err()
	}
	return f.from.Features(ctx, rows)
}

// A moment, a random draw or half of an accumulated gradient that did not
// survive would make a resumed run another run.
func TestResumedStage1AndAccumulatedRunsGiveTheSameBits(t *testing.T) {
	for name, c := range map[string]struct {
		plan  train.Plan
		after []int // batches of features
	}{
		"stage 1":         {quickPlan(objective.Representation(), 5), []int{1, 3}},
		"in two portions": {quickPlan(objective.PromptCaption(), 5), []int{3, 6, 7}}, // within a step, between steps
	} {
		t.Run(name, func(t *testing.T) {
			plan := c.plan
			plan.CheckpointEvery = 2
			plan.Phases[0].Mix.Similar = 0.5
			session := func(dir string) *train.Session {
				if plan.Phases[0].Objective.Stage == 1 {
					return quick(t, tiny(t, 0.1), nil, plan, dir)
				}
				plan.Phases[0].Accumulate = 2
				lm := fakeLanguage()
				return quick(t, tinyFor(t, lm, 0.1), lm, plan, dir)
			}
			whole := t.TempDir()
			if _, err := session(whole).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, batches := range c.after {
				dir := t.TempDir()
				first := session(dir)
				ctx, stop := context.WithCancel(t.Context())
				first.Train.Features = &interrupting{first.Train.Features, batches, stop}
				if _, err := first.Run(ctx); !errors.Is(err, context.Canceled) {
					t.Fatalf("stopped after %d batches: %v", batches, err)
				}
				again := session(dir)
				again.Resume = true
				result, err := again.Run(t.Context())
				if err != nil {
					t.Fatalf("resumed after %d batches: %v", batches, err)
				}
				if result.Steps != 5 {
					t.Errorf("resumed after %d batches: %d steps, want 5", batches, result.Steps)
				}
				sameBits(t, weightsOf(t, dir), weightsOf(t, whole))
			}
		})
	}
}
