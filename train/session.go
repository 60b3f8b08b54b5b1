package train

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/train/metrics"
)

// Set is a data set with its features.
type Set struct {
	Data     data.Dataset
	Features featurecache.Features
	// LeftOut is the list of pictures that the run does not use; nil means a new list.
	LeftOut *data.LeftOutList
}

// Session is a run: a plan, the bridge that it trains, the frozen language model, the
// data, and the places for results. The caller owns what the fields refer to, and
// closes it after [Session.Run].
type Session struct {
	Plan     Plan
	Bridge   *bridge.Bridge         // Run changes its weights
	Language adapters.LanguageModel // nil in stage 1
	Train    Set
	Eval     Set // evaluated, never trained on
	// Also holds further sets. The run is evaluated on them once, after the last step.
	Also []Set
	// EvalMetrics are the metrics that evaluations compute and write; nil means
	// [eval.Metrics].
	EvalMetrics []eval.Metric

	Dir    string // run folder; checkpoints and metrics go below it
	Keep   int    // number of checkpoints to keep; 0 means 2
	Resume bool   // continue from the newest intact checkpoint
	// Checkpointing computes the Q-Former's layers again in the backward pass, to save memory
	// ([qformer.Model.Checkpointing]). A resumed run may have another value.
	Checkpointing bool
	// SetupTime is how long the initialisation of the bridge took. It counts as time
	// of training.
	SetupTime time.Duration
	// Cost counts what the run computes. It may have counts already, of the phases
	// [cost.Features] and [cost.Start]; nil means a new one.
	Cost     *cost.Meter
	Metrics  *metrics.Writer
	Progress metrics.Progress
	Log      *slog.Logger

	// state guards the weights, the optimizer's moments and the fields below while a
	// step or a checkpoint uses them.
	state    sync.Mutex
	unsaved  atomic.Bool // a step was applied since the last checkpoint
	lastStep struct {    // the last step that was applied
		phase, step int
		stepper     stepper
	}

	clock        time.Duration          // time of training so far, without evaluation
	settled      bool                   // memory was given back before the phase's first step
	stepsDone    int                    // optimizer steps so far, in all phases
	scores       []Scores               // evaluations so far
	counted      cost.Ledger            // the counts at the last step or evaluation; nil if a part of the run was not counted
	forwards     int64                  // those of [bridge.Bridge.Forwards] that Cost has
	language     adapters.LanguageModel // Language, with its calls counted
	wordIndex    *data.WordIndex
	leftOut      map[int]bool // rows of the training set that are left out, when there were knownLeftOut
	knownLeftOut int
	texts        *textCutter
}

// TrainRows returns the rows of the training set whose features the run reads, in
// order, without pictures that are left out. It returns all rows if the run draws at least
// twice as many. It leaves out the last phase of a plan with an Until, because nobody knows how
// many pictures that reads.
func (s *Session) TrainRows() []int {
	n := s.Train.Data.Len()
	used := make([]bool, n)
	for i, phase := range s.Plan.Phases {
		if s.Plan.Until != nil && i == len(s.Plan.Phases)-1 {
			break
		}
		if phase.Schedule.Steps*phase.Batch >= 2*n {
			return s.Train.Usable(span(0, n))
		}
		order := s.order(phase)
		for step := range phase.Schedule.Steps {
			for _, row := range order.Indices(step) {
				used[row] = true
			}
		}
		for _, row := range s.Train.Usable(span(0, min(phase.CachedQueries, n))) {
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

// EvalRows returns the rows of the evaluation set whose features the run's evaluations
// read. It returns an error if too many records are bad.
func (s *Session) EvalRows() ([]int, error) {
	e := s.Plan.Evaluation
	return s.examine(s.Eval).rows(max(e.Examples, e.Captions, e.FinalCaptions))
}

// AlsoRows returns the rows of a set in Also whose features the run reads.
func (s *Session) AlsoRows(set Set) ([]int, error) {
	return s.examine(set).rows(max(s.Plan.Evaluation.Examples, s.finalCaptions()))
}

// span returns lo, lo+1, …, hi−1.
func span(lo, hi int) []int {
	rows := make([]int, hi-lo)
	for i := range rows {
		rows[i] = lo + i
	}
	return rows
}
