package runs_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/workspace"
)

// counter is a progress display that only counts steps.
type counter struct{ steps map[string]int }

func (c counter) Start(name string, _, _ int) metrics.Task { return task{c, name} }

type task struct {
	counter
	name string
}

func (t task) Step(done, _ int, _ float64) { t.steps[t.name] = done }
func (t task) Done()                       {}

// shortRecipe returns settings with which a run takes a second.
func shortRecipe() []string {
	return []string{
		"run.backend=go", "run.feature_cache=false",
		`data.train={id="kit:train",pictures=32}`, `data.eval={id="kit:held-out",pictures=4}`,
		"optimizer.batch=8", "optimizer.steps=3", "optimizer.warmup=1",
		"evaluation.examples=4", "evaluation.captions=0", "evaluation.final_captions=2",
	}
}

// A program trains a recipe, watches its progress and reads its results.
func ExampleTrain() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	progress := counter{map[string]int{}}
	w := workspace.New(workspace.Options{Progress: progress})
	reg, err := w.Registry()
	if err != nil {
		log.Fatal(err)
	}
	recipe, err := recipes.Load("tiny-stage2-opt", shortRecipe()...)
	if err != nil {
		log.Fatal(err)
	}
	resolved, err := recipe.Resolve(reg)
	if err != nil {
		log.Fatal(err)
	}
	out, err := runs.Train(context.Background(), w, resolved, runs.Options{Dir: filepath.Join(dir, "run")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(progress.steps["stage-2"], "steps;", len(out.Result.Samples), "captions;", out.Summary.LLM)
	// Output: 3 steps; 2 captions; tiny-opt
}

// A program swaps the language model of a bridge and retrains it.
func ExampleRetrain() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	swap := runs.Swap{From: "kit:stage2", LLM: "tiny-flan-t5"}
	for _, set := range append(shortRecipe(), "swap.projection=shared-tokens", "swap.warmup_steps=2", "swap.warmup_images=8") {
		swap.Overrides = append(swap.Overrides, recipes.Override{Assignment: set})
	}
	w := workspace.New(workspace.Options{})
	out, err := runs.Retrain(context.Background(), w, swap, runs.Options{Dir: filepath.Join(dir, "run")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.Summary.Name, "took", out.Summary.Steps, "steps")
	// Output: retrain-tiny-flan-t5 took 5 steps
}
