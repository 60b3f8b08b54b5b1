package recipes_test

import (
	"fmt"
	"log"

	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
)

// A recipe that ships, with a value of its own.
func ExampleLoad() {
	r, err := recipes.Load("tiny-stage2-opt", "optimizer.steps=200")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Language.ID, "trains for", r.Optimizer.Steps, "steps of", r.Optimizer.Batch)
	// Output: tiny-opt trains for 200 steps of 64
}

// All problems of a recipe come in one error.
func ExampleLoad_problems() {
	_, err := recipes.Load("tiny-stage2-opt", "optimizer.lr=3", "optimizer.accumulate=7", "optimizer.step=200")
	fmt.Println(err)
	// Output:
	// --set optimizer.step=200: optimizer.step: unknown key; did you mean optimizer.steps?
	// --set optimizer.lr=3: optimizer.lr: is 3, want a learning rate above 0 and at most 1
	// --set optimizer.accumulate=7: optimizer.accumulate: is 7, want a divisor of optimizer.batch, 64
}

// kitRegistry knows the models that the program carries, and those of manifests that ship.
func kitRegistry() *registry.Registry {
	reg, err := registry.New(registry.Options{Families: builtin.Families(), KitModels: kit.Models()})
	if err != nil {
		log.Fatal(err)
	}
	return reg
}

// What a recipe trains, phase by phase.
func ExampleResolved_Plan() {
	r, err := recipes.Load("tiny-retrain")
	if err != nil {
		log.Fatal(err)
	}
	resolved, err := r.Resolve(kitRegistry())
	if err != nil {
		log.Fatal(err)
	}
	plan := resolved.Plan()
	fmt.Println("the projection starts from", plan.ProjectionInit)
	for _, p := range plan.Phases {
		fmt.Println(p.Name, "trains", p.Train, "for", p.Schedule.Steps, "steps")
	}
	// Output:
	// the projection starts from words
	// stage-2 trains [qformer projection] for 1500 steps
}

// The recipe of a swap is the recipe of the run with other models and small batches, for a sixteenth of
// its examples.
func ExampleLoadForSwap() {
	vision := recipes.Vision{Backbone: recipes.Backbone{ID: "tiny-vit"}}
	r, err := recipes.LoadForSwap("tiny-stage2-opt", recipes.SwapModels{
		Name: "swapped", From: "kit:stage2", Language: recipes.Backbone{ID: "small-opt"}, NewLanguage: true, Vision: vision, Derive: true,
	}, recipes.Override{Assignment: "seed=2"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Language.ID, "through", r.Swap.Projection, "for", r.Optimizer.Steps, "steps of", r.Optimizer.Batch)
	// Output: small-opt through words for 1400 steps of 4
}

// What a run would compute differently with another recipe.
func ExampleDifferences() {
	old, err := recipes.Load("tiny-stage1")
	if err != nil {
		log.Fatal(err)
	}
	other, err := recipes.Load("tiny-stage1", "optimizer.lr=1e-3", "run.keep=5")
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range recipes.Differences(old, other) {
		fmt.Println(d.Key, "was", d.Old, "and is", d.New)
	}
	// Output: optimizer.lr was 0.0012 and is 0.001
}
