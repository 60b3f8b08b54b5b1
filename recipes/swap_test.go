package recipes

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
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

// fullSwap returns models that differ from those of every recipe.
func fullSwap() SwapModels {
	return SwapModels{Name: "mine", From: "kit:stage2", FromOrigin: "--from kit:stage2", Language: "tiny-flan-t5", LanguageOrigin: "--llm tiny-flan-t5",
		Architecture: adapters.EncoderDecoder, Vision: Vision{Backbone: Backbone{ID: "tiny-vit-wide"}}, VisionOrigin: "--encoder tiny-vit-wide", NewEncoder: true}
}

func TestLoadForSwap(t *testing.T) {
	got, err := LoadForSwap("tiny-retrain", fullSwap(), Override{Assignment: "swap.warmup_steps=7"}, Override{Assignment: "vision.image_size=32"})
	must(t, err)
	want := load(t, "tiny-retrain", "name=mine", "vision.id=tiny-vit-wide", "vision.image_size=32", "swap.encoder=least-squares", "swap.warmup_steps=7")
	if diff := Differences(want, got); len(diff) != 0 {
		t.Errorf("the recipe differs in %v", diff)
	}

	kept := fullSwap()
	kept.From, kept.NewEncoder = "", false
	kept.Vision = Vision{Backbone: Backbone{Plugin: "./mine", Path: "\"quoted\".bin"}, FeatureLayer: new(int), ImageSize: 64}
	got, err = LoadForSwap("tiny-retrain", kept)
	must(t, err)
	if v := got.Vision; v.ID != "" || v.Path != kept.Vision.Path || v.Isolation != "process" || *v.FeatureLayer != 0 || v.ImageSize != 64 || got.Swap.Encoder != "" || got.From != "kit:stage2" {
		t.Errorf("the encoder is %+v, the swap %+v from %s", v, got.Swap, got.From)
	}
}

// The models make a recipe valid that is not valid without them.
func TestLoadForSwapOfPartOfARecipe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "part.toml")
	must(t, os.WriteFile(file, []byte("stage = 2\ndata = {train = 'kit:train', eval = 'kit:held-out'}\noptimizer = {lr = 1e-3, steps = 'x', batch = 8}\n"), 0o644))
	if _, err := LoadForSwap(file, fullSwap(), Override{Assignment: "optimizer.steps=5"}); err != nil {
		t.Error(err)
	}
}

func TestLoadForSwapDerives(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run.toml")
	old := resolve(t, load(t, "tiny-stage2-opt", "optimizer.steps=101", "optimizer.warmup=3", "objective.name=lm", "language.isolation=none", "language.dtype=float32"))
	text, err := old.Encode()
	must(t, err)
	must(t, os.WriteFile(run, text, 0o644))
	models := fullSwap()
	models.Derive = true
	got, err := LoadForSwap(run, models)
	must(t, err)
	want := Swap{Encoder: train.EncoderLeastSquares, Projection: train.ProjectionSharedTokens, WarmupSteps: 7, WarmupLR: 4e-3, WarmupImages: 400}
	if *got.Swap != want || got.Optimizer.Steps != 25 || got.Optimizer.Warmup != 2 || !reflect.DeepEqual(got.Data, old.Data) {
		t.Errorf("the recipe trains %+v, %+v, want %+v", got.Swap, got.Optimizer, want)
	}
	if l := *got.Language; got.Objective.Name != "prefix-lm" || l.DType != "" || l.QuestionTemplate != nil || l.Isolation != "none" {
		t.Errorf("the objective is %s, the language model %+v", got.Objective.Name, l)
	}

	text, err = got.Encode()
	must(t, err)
	must(t, os.WriteFile(run, text, 0o644))
	models.NewEncoder = false
	again, err := LoadForSwap(run, models)
	must(t, err)
	if again.Optimizer != got.Optimizer || again.Swap.WarmupSteps != got.Swap.WarmupSteps {
		t.Errorf("the swap of a swap's run trains %+v, %+v, want the same steps", again.Swap, again.Optimizer)
	}
	if _, err := LoadForSwap("tiny-stage1", models); err == nil || !strings.Contains(err.Error(), "tiny-stage1 is of stage 1, and a swap retrains stage 2") {
		t.Errorf("a run of stage 1: %v", err)
	}
}

// Messages name the flag that a value came from, and not a line of the file.
func TestProblemsOfSwapsNameTheFlag(t *testing.T) {
	models := fullSwap()
	models.Language, models.LanguageOrigin, models.Vision.ID, models.From = "tiny-vit", "--llm tiny-vit", "none", "kit:none"
	_, err := LoadForSwap("tiny-retrain", models, Override{Assignment: "name=a/b"})
	wantProblems(t, err, "--from kit:stage2: from: is ", "--set name=a/b: name: is ")
	models.From = "kit:stage2"
	r, err := LoadForSwap("tiny-retrain", models)
	must(t, err)
	_, err = r.Resolve(newRegistry(t))
	wantProblems(t, err, "--llm tiny-vit: language.id: is ", "--encoder tiny-vit-wide: vision.id: no model")
	models.Derive = true
	_, err = LoadForSwap("tiny-stage2-opt", models, Override{Assignment: "optimizer.batch=400"}, Override{Assignment: "optimizer.steps=2"})
	wantProblems(t, err, "--llm tiny-vit: optimizer.warmup: is 20, want between 0 and optimizer.steps, 2")
}
