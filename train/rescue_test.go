package train_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/checkpoint"
	"github.com/modular-bridging/bridge/train/objective"
)

// deaf stands still after some batches of features, heeding nothing, as a run does
// that compiles a graph.
type deaf struct {
	from    featurecache.Features
	left    int
	reached chan struct{}
}

func (f *deaf) Features(ctx context.Context, rows []int) (*adapters.Tensor, error) {
	if f.left--; f.left < 0 {
		close(f.reached)
		select {}
	}
	return f.from.Features(ctx, rows)
}

// A run that does not come back is saved from outside, wherever it stands, and goes
// on with the same bits.
func TestRescuedRunsGoOnWithTheSameBits(t *testing.T) {
	type run struct {
		objective  string
		accumulate int
	}
	wholes := map[run]map[string]*adapters.Tensor{} // what runs that nothing stops end with
	for name, c := range map[string]struct {
		objective  objective.Objective
		accumulate int
		every      int // steps between checkpoints
		batches    int // of features before it stands still
		evaluation bool
		done       int // steps in the checkpoint; 0: there is none
	}{
		"stage 1":              {objective: objective.Representation(), batches: 3, done: 3},
		"stage 2":              {objective: objective.PromptCaption(), batches: 2, done: 2},
		"in portions":          {objective: objective.PromptCaption(), accumulate: 2, batches: 5, done: 2},
		"in an evaluation":     {objective: objective.PromptCaption(), batches: 1, evaluation: true, done: 2},
		"nothing done":         {objective: objective.PromptCaption(), batches: 0, done: 0},
		"nothing done since":   {objective: objective.PromptCaption(), every: 2, batches: 2, done: 2},
		"after a checkpoint":   {objective: objective.PromptCaption(), every: 2, batches: 3, done: 3},
		"in the first portion": {objective: objective.PromptCaption(), accumulate: 2, batches: 1, done: 0},
	} {
		t.Run(name, func(t *testing.T) {
			plan := onePhase(c.objective, 5)
			plan.CheckpointEvery, plan.Phases[0].Accumulate = c.every, c.accumulate
			if c.evaluation {
				plan.Evaluation = train.Evaluation{Every: 2, Examples: 4}
			}
			key := run{c.objective.Name, c.accumulate}
			if wholes[key] == nil {
				wholes[key] = uninterrupted(t, plan)
			}
			dir := t.TempDir()
			stuck, at := newSessionFor(t, plan, dir), &deaf{left: c.batches, reached: make(chan struct{})}
			if c.evaluation {
				at.from, stuck.Eval.Features = stuck.Eval.Features, at
			} else {
				at.from, stuck.Train.Features = stuck.Train.Features, at
			}
			go func() {
				_, err := stuck.Run(context.Background())
				t.Errorf("the run came back: %v", err)
			}()
			<-at.reached
			if err := stuck.Rescue(); err != nil {
				t.Fatal(err)
			}
			saved, _, err := checkpoint.Latest(filepath.Join(dir, "checkpoints"))
			if (err == nil) != (c.done > 0) {
				t.Fatalf("the newest checkpoint is %q, %v", saved, err)
			}
			again := newSessionFor(t, plan, dir)
			again.Resume = true
			if result, err := again.Run(t.Context()); err != nil || result.Steps != 5 {
				t.Fatalf("resumed: %d steps, %v", result.Steps, err)
			}
			sameBits(t, weightsOf(t, dir), wholes[key])
			if c.done > 0 && !strings.HasSuffix(saved, fmt.Sprintf("%06d", c.done)) {
				t.Errorf("the rescued state is %s, want that after step %d", filepath.Base(saved), c.done)
			}
		})
	}
}
