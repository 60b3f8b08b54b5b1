package recipes

import (
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/train"
)

func TestSwapProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"few warm-up images", "tiny-retrain", []string{"swap.warmup_images=16"}, []string{"swap.warmup_images: is 16", "at least optimizer.batch, 64"}},
		{"swap in stage 1", "tiny-stage1", []string{"swap.projection=shared"}, []string{"swap: is given", "swap.projection: is \"shared\", want one of shared-tokens", "from: is empty"}},
	})
}

func TestSwapPlan(t *testing.T) {
	r := resolve(t, load(t, "tiny-retrain", "optimizer.projection_lr=3e-3", "swap.warmup_steps=50", "swap.cold_lr=1e-3"))
	plan := r.Plan()
	if plan.ProjectionInit != train.ProjectionSharedTokens || len(plan.Phases) != 2 {
		t.Fatalf("plan %+v", plan)
	}
	warmup, tune := plan.Phases[0], plan.Phases[1]
	if !slices.Equal(warmup.Train, []train.Module{train.Projection}) || warmup.Schedule.Steps != 50 || warmup.CachedQueries != 6400 ||
		warmup.Optimizer.WeightDecay != 0 || warmup.Optimizer.LearningRate[train.Projection] != 4e-3 {
		t.Errorf("warm-up %+v", warmup)
	}
	if tune.Optimizer.LearningRate[train.QFormer] != 1e-3 || tune.Optimizer.LearningRate[train.Projection] != 3e-3 || tune.Mix.Questions != 0.35 {
		t.Errorf("tuning %+v", tune)
	}
	if plan.Templates.Question != "Question: {} Short answer:" || plan.Templates.TargetPrefix != "" {
		t.Errorf("prompts %+v", plan.Templates)
	}
	cold := resolve(t, r.Cold("kit:stage1")).Plan()
	if len(cold.Phases) != 1 || cold.ProjectionInit != train.ProjectionFresh || cold.Phases[0].Schedule.Steps != 350 ||
		cold.Phases[0].Optimizer.LearningRate[train.Projection] != 1e-3 {
		t.Errorf("cold %+v", cold)
	}
}
