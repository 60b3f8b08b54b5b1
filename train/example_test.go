package train_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/vit"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// Example trains the kit's bridge for a few more steps, in this process, and shows the
// progress and the results.
func Example() {
	ctx := context.Background()
	session, closeAll := openKitSession(ctx)
	defer closeAll()
	session.Plan = train.Plan{
		Seed: 1,
		Phases: []train.Phase{{
			Name: "stage-2", Objective: objective.PromptCaption(), Train: []train.Module{train.QFormer, train.Projection}, Batch: 8,
			Schedule: optim.Schedule{Steps: 3, Warmup: 1},
			Optimizer: train.Optimizer{
				LearningRate: map[train.Module]float64{train.QFormer: 1e-4, train.Projection: 2e-4},
				Config:       optim.Config{Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-8, WeightDecay: 0.05, ClipNorm: 1},
			},
		}},
		Evaluation: train.Evaluation{Examples: 8, Captions: 4},
		Templates:  *session.Bridge.Info.Templates,
	}
	session.Progress = printedProgress{}

	result, err := session.Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	right, _ := result.Final.Value(eval.MetricExactMatch)
	fmt.Printf("%d steps, %.0f %% of %d captions right\n", result.Steps, 100*right, result.Final.Captions)
	fmt.Printf("%q\n", result.Samples[0].Got)
	// Output:
	// stage-2: step 1 of 3
	// stage-2: step 2 of 3
	// stage-2: step 3 of 3
	// 3 steps, 100 % of 4 captions right
	// "a carrot left of a lemon on a white background"
}

// openKitSession opens the kit's frozen models, its stage-2 bridge and some of its scenes.
// The run is written to a folder that closeAll removes.
func openKitSession(ctx context.Context) (session *train.Session, closeAll func()) {
	dir := must(os.MkdirTemp("", "run"))
	layer := -1
	encoder := must(vit.Family().OpenVision(ctx, &adapters.LoadRequest{Checkpoint: "../kit/models/tiny-vit", Backend: "go", FeatureLayer: &layer}))
	language := must(opt.Family().OpenLanguage(ctx, &adapters.LoadRequest{Checkpoint: "../kit/models/tiny-opt", Backend: "go"}))
	b := must(bridge.Load(ctx, must(backends.Open("go")), "../kit/models/stage2"))
	figures := must(metrics.Open(dir))
	open := func(split kit.Split, n int) train.Set {
		d := must(data.OpenKit(split, n, encoder.Spec().Image))
		return train.Set{Data: d, Features: must(featurecache.Open(dir, encoder, d, featurecache.Options{}))}
	}
	session = &train.Session{
		Bridge: b, Language: language, Train: open(kit.Train, 32), Eval: open(kit.HeldOut, 8),
		Dir: dir, Metrics: figures, Progress: metrics.Silent(), Log: slog.New(slog.DiscardHandler),
	}
	return session, func() {
		figures.Close()
		b.Close()
		language.Close()
		encoder.Close()
		os.RemoveAll(dir)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// printedProgress is a [metrics.Progress] that prints each step.
type printedProgress struct{}

func (printedProgress) Start(name string, total, _ int) metrics.Task {
	return printedTask{name, total}
}

type printedTask struct {
	name  string
	total int
}

func (t printedTask) Step(done, _ int, _ float64) {
	fmt.Printf("%s: step %d of %d\n", t.name, done, t.total)
}

func (printedTask) Done() {}
