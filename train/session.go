package train

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/train/metrics"
)

// Features gives the frozen encoder's output for examples of a data set:
// [len(indices), N, Denc], float32 or bfloat16. Package data/featurecache implements it.
type Features interface {
	Features(ctx context.Context, indices []int) (*adapters.Tensor, error)
}

// Filler is [Features] that can be computed ahead.
type Filler interface {
	Fill(ctx context.Context, indices []int) error
}

// Set is a data set with its features.
type Set struct {
	Data     data.Dataset
	Features Features
}

// Session is a run: what is trained, on what, with what beside it, and where
// the results go. It borrows everything that it names.
type Session struct {
	Plan     Plan
	Bridge   *bridge.Bridge         // its weights are what changes
	Language adapters.LanguageModel // nil in stage 1
	Train    Set
	Held     Set // evaluated, never trained on

	Dir    string // run folder; checkpoints and metrics go below it
	Keep   int    // checkpoints that are kept; 0 means 2
	Resume bool   // go on from the newest intact checkpoint
	// Spent is the time that making the bridge's start took; the run's clock
	// begins there.
	Spent    time.Duration
	Metrics  *metrics.Writer
	Progress metrics.Progress
	Log      *slog.Logger

	// state is held while weights, moments and what follows change, or are saved.
	state   sync.Mutex
	unsaved atomic.Bool // a step was done since the last checkpoint
	place   struct {    // of the last step that was done
		stage, step int
		stepper     stepper
	}

	clock  time.Duration // of training so far, evaluation not counted
	done   int           // optimizer steps so far, in all stages
	scores []Scores      // evaluations so far
	words  *data.WordIndex
	cuts   map[string]string // long texts, cut
}

// Needs returns the rows of the training set whose features the run reads, in
// order: all of them where it draws at least twice as many.
func (s *Session) Needs() []int {
	n := s.Train.Data.Len()
	used := make([]bool, n)
	for _, st := range s.Plan.Stages {
		if st.Schedule.Steps*st.Batch >= 2*n {
			return span(0, n)
		}
		x := s.sampler(st)
		for step := range st.Schedule.Steps {
			for _, row := range x.Indices(step) {
				used[row] = true
			}
		}
		for row := range min(st.CachedQueries, n) {
			used[row] = true
		}
	}
	var rows []int
	for row, yes := range used {
		if yes {
			rows = append(rows, row)
		}
	}
	return rows
}

// HeldNeeds returns the rows of the held-out set that evaluations read.
func (s *Session) HeldNeeds() []int {
	e := s.Plan.Evaluation
	return s.probes(max(e.Examples, e.Captions, e.FinalCaptions))
}
