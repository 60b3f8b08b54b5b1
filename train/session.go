package train

import (
	"context"
	"log/slog"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/train/data"
	"github.com/modular-bridging/bridge/train/metrics"
)

// Features gives the frozen encoder's output for examples of a data set:
// [len(indices), N, Denc], float32 or bfloat16. Package train/cache implements it.
type Features interface {
	Features(ctx context.Context, indices []int) (*adapters.Tensor, error)
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

	clock  time.Duration // of training so far, evaluation not counted
	done   int           // optimizer steps so far, in all stages
	scores []Scores      // evaluations so far
	words  *data.WordIndex
}
