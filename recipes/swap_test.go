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
		{"few warm-up images", "tiny-retrain", []string{"swap.warmup_steps=9", "swap.warmup_images=3"}, []string{"swap.warmup_images: is 3", "at least optimizer.batch, 4"}},
		{"swap in stage 1", "tiny-stage1", []string{"swap.projection=shared"}, []string{"swap: is given", "swap.projection: is \"shared\", want one of shared-tokens", "from: is empty"}},
	})
}

func TestSwapPlan(t *testing.T) {
	r := resolve(t, load(t, "tiny-retrain", "optimizer.projection_lr=3e-3", "swap.warmup_steps=50", "swap.cold_lr=1e-3"))
	plan := r.Plan()
	if plan.ProjectionInit != train.ProjectionWords || len(plan.Phases) != 2 {
		t.Fatalf("plan %+v", plan)
	}
	warmup, tune := plan.Phases[0], plan.Phases[1]
	if !slices.Equal(warmup.Train, []train.Module{train.Projection}) || warmup.Schedule.Steps != 50 || warmup.CachedQueries != 6400 ||
		warmup.Optimizer.WeightDecay != 0 || warmup.Optimizer.LearningRate[train.Projection] != 4e-3 {
		t.Errorf("warm-up %+v", warmup)
	}
	if tune.Optimizer.LearningRate[train.QFormer] != 1.5e-4 || tune.Optimizer.LearningRate[train.Projection] != 3e-3 || tune.Mix.Questions != 0.35 {
		t.Errorf("tuning %+v", tune)
	}
	if plan.Templates.Question != "Question: {} Short answer:" || plan.Templates.TargetPrefix != "" {
		t.Errorf("prompts %+v", plan.Templates)
	}
	cold := resolve(t, r.Cold("kit:stage1")).Plan()
	if len(cold.Phases) != 1 || cold.ProjectionInit != train.ProjectionFresh || cold.Phases[0].Schedule.Steps != 1550 ||
		cold.Phases[0].Optimizer.LearningRate[train.Projection] != 1e-3 {
		t.Errorf("cold %+v", cold)
	}
}

// fullSwap returns models that differ from those of every recipe.
func fullSwap() SwapModels {
	return SwapModels{Name: "mine", From: "kit:stage2", FromOrigin: "--from kit:stage2", Language: Backbone{ID: "tiny-flan-t5"}, LanguageOrigin: "--llm tiny-flan-t5", NewLanguage: true,
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
	kept.Vision = Vision{Backbone: Backbone{Plugin: "./mine", Path: "\"quoted\".bin"}, FeatureLayer: new(int), ImageSize: 64} // another encoder than the file names
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
	want := Swap{Encoder: train.EncoderLeastSquares, Projection: train.ProjectionWords, WarmupLR: 4e-3, WarmupImages: 101, ColdLR: 5e-4}
	o := got.Optimizer
	if *got.Swap != want || o.Steps != 101 || o.Warmup != 3 || o.Batch != 4 || o.LR != 2e-3 || o.QFormerLR != 1.5e-4 || o.ProjectionLR != 5e-4 ||
		!reflect.DeepEqual(got.Data, old.Data) {
		t.Errorf("the recipe trains %+v, %+v, want %+v", got.Swap, o, want)
	}
	tokens := models
	tokens.SharedTokens = true
	other, err := LoadForSwap(run, tokens)
	must(t, err)
	want = Swap{Encoder: train.EncoderLeastSquares, Projection: train.ProjectionSharedTokens, WarmupSteps: 7, WarmupLR: 4e-3, WarmupImages: 400}
	if *other.Swap != want || other.Optimizer.Steps != 25 || other.Optimizer.Batch != 64 || other.Optimizer.QFormerLR != 0 {
		t.Errorf("without words the recipe trains %+v, %+v, want %+v", other.Swap, other.Optimizer, want)
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

// If words are not possible, a recipe for words keeps its batch, its rates and those of its cold start.
func TestSwapOfWordsThroughTokens(t *testing.T) {
	models := fullSwap()
	models.SharedTokens = true
	got, err := LoadForSwap("tiny-retrain", models)
	must(t, err)
	words := load(t, "tiny-retrain")
	want := Swap{Encoder: train.EncoderLeastSquares, Projection: train.ProjectionSharedTokens, WarmupSteps: 375, WarmupLR: 4e-3, WarmupImages: 1500,
		ColdLR: words.Swap.ColdLR}
	if *got.Swap != want || got.Optimizer != words.Optimizer {
		t.Errorf("without words the recipe trains %+v, %+v, want %+v, %+v", got.Swap, got.Optimizer, want, words.Optimizer)
	}
}

// If the language model stays, the projection stays, too, and goes through words in a later swap.
func TestStartsOfSwaps(t *testing.T) {
	encoder := fullSwap()
	encoder.NewLanguage, encoder.Language = false, Backbone{ID: "tiny-opt"}
	for _, c := range []struct {
		run    []string // settings of a run of the recipe whose bridge is swapped; nil: the recipe is a swap's
		recipe string
		models SwapModels
		set    string
		want   train.ProjectionInit
	}{
		{nil, "tiny-retrain", fullSwap(), "", train.ProjectionWords},
		{nil, "tiny-retrain", encoder, "", train.ProjectionKeep},
		{nil, "tiny-retrain", encoder, "swap.projection=words", train.ProjectionWords},
		{[]string{"run.keep=1"}, "tiny-stage2-opt", encoder, "", train.ProjectionKeep},
		{[]string{"projection.kind=linear"}, "tiny-stage2-opt", fullSwap(), "", train.ProjectionSharedTokens},
		{[]string{"swap.projection=keep"}, "tiny-retrain", fullSwap(), "", train.ProjectionWords},
		{[]string{"swap.projection=shared-tokens"}, "tiny-retrain", encoder, "", train.ProjectionSharedTokens},
	} {
		file, overrides := c.recipe, []Override(nil)
		if c.run != nil {
			text, err := resolve(t, load(t, c.recipe, c.run...)).Encode()
			must(t, err)
			file, c.models.Derive = filepath.Join(t.TempDir(), "run.toml"), true
			must(t, os.WriteFile(file, text, 0o644))
		}
		if c.set != "" {
			overrides = []Override{{Assignment: c.set}}
		}
		got, err := LoadForSwap(file, c.models, overrides...)
		must(t, err)
		if got.Swap.Projection != c.want {
			t.Errorf("%s, run %q, set %q, new language model %v: the projection starts as %s, want %s", c.recipe, c.run, c.set, c.models.NewLanguage,
				got.Swap.Projection, c.want)
		}
	}
}

// A frozen model that the bridge keeps keeps the settings of its process.
func TestKeptSidesKeepTheirTables(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run.toml")
	text := `name = "run"
stage = 2
from = "kit:stage1"
data = {train = "kit:train", eval = "kit:held-out"}
optimizer = {lr = 1e-3, steps = 8, batch = 8}
vision = {plugin = "./eyes", path = "old", memory_limit = "1GB", restarts = 1, sandbox = "none", environment = ["A"], dtype = "bfloat16", feature_layer = -2}
language = {id = "tiny-opt", threads = 2, caption_prompt = "see:"}
`
	must(t, os.WriteFile(run, []byte(text), 0o644))
	models := SwapModels{Name: "mine", From: "kit:stage2", Derive: true, NewLanguage: true, Language: Backbone{ID: "tiny-flan-t5"}, Architecture: adapters.EncoderDecoder,
		Vision: Vision{Backbone: Backbone{Plugin: "./eyes", Path: "new"}, ImageSize: 64}}
	got, err := LoadForSwap(run, models)
	must(t, err)
	if v := got.Vision; v.Path != "new" || v.Plugin != "./eyes" || v.MemoryLimit != "1GB" || *v.Restarts != 1 || v.Sandbox != "none" || len(v.Environment) != 1 ||
		v.DType != "bfloat16" || v.FeatureLayer != nil || v.ImageSize != 64 {
		t.Errorf("the kept encoder is %+v", v)
	}
	if l := got.Language; l.ID != "tiny-flan-t5" || l.Threads != 0 || l.CaptionTemplate != nil {
		t.Errorf("the new language model is %+v", l)
	}

	models.NewLanguage, models.Language = false, Backbone{Plugin: "./speaks"}
	models.NewEncoder, models.Vision = true, Vision{Backbone: Backbone{ID: "tiny-vit-wide"}}
	got, err = LoadForSwap(run, models)
	must(t, err)
	if v := got.Vision; v.ID != "tiny-vit-wide" || v.Plugin != "" || v.Path != "" || v.MemoryLimit != "" || v.Sandbox != "" || v.Isolation != "process" {
		t.Errorf("the new encoder is %+v", v)
	}
	if l := got.Language; l.ID != "" || l.Plugin != "./speaks" || l.Threads != 2 || *l.CaptionTemplate != "see:" {
		t.Errorf("the kept language model is %+v", l)
	}
}

// Messages name the flag that a value came from, and not a line of the file.
func TestProblemsOfSwapsNameTheFlag(t *testing.T) {
	models := fullSwap()
	models.Language.ID, models.LanguageOrigin, models.Vision.ID, models.From = "tiny-vit", "--llm tiny-vit", "none", "kit:none"
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
