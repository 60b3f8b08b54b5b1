// Package memory owns the estimate of how much memory the processes of a run take at their peaks:
// weights, training state, activations, and what a process takes before it holds a model. It must not
// know recipes, files or the machine.
//
// The numbers of activations follow from the graphs, and the few constants from measurements.
// docs/models.md has both, and compares the estimate with real runs. All sizes are in bytes.
package memory

import (
	"github.com/modular-bridging/bridge/qformer"
)

// Tolerance is how far an estimate may be from what a process takes. Tests and tools/memory compare both.
const Tolerance = 0.2

// Run says what determines the memory of a run.
type Run struct {
	Stage   int            // 1 or 2
	QFormer qformer.Config // its widths are those of the frozen models
	Trained int64          // parameters that get gradients and moments
	Kept    int64          // parameters of the bridge that are not trained

	Pictures      int  // of a micro-batch
	Text          int  // longest text, in tokens
	Accumulate    bool // a batch has several micro-batches
	Checkpointing bool // the backward pass computes each layer of the Q-Former again
	Narrow        bool // the Q-Former computes in bfloat16, on a device that has it
	Evaluated     int  // examples of an evaluation; 0 for none
	CachedOutputs int  // pictures whose outputs of the Q-Former are kept, to train the projection alone

	Tokens        int   // of a picture
	FeatureNumber int64 // bytes of a number of the features

	Start    *Start  // nil if nothing is fitted before the first step
	Vision   *Frozen // nil if the features come from elsewhere
	Language *Frozen // nil in stage 1
	OnGPU    bool    // the estimate is of a GPU's memory, and otherwise of the host's
}

// Frozen is a frozen model of a run.
type Frozen struct {
	ID          string
	Parameters  int64 // 0 if they are not known
	Number      int64 // bytes of a number in which it computes
	Width       int
	Layers      int // of an encoder-decoder, of both sides together
	FeedForward int // numbers inside a feed-forward; a gated one has twice its width
	Heads       int
	Vocabulary  int  // of a language model
	Decodes     bool // an encoder-decoder
	Inside      bool // it runs in bridge's own process
	Foreign     bool // a plugin: what it takes is not known

	Picture int64 // bytes of a picture, for an encoder
	Example int64 // bytes of an example's activations, used if Layers is 0; 0 if they are not known
}

// Part is a part of a process's memory.
type Part struct {
	Holds   string `json:"holds"`
	Bytes   int64  `json:"bytes"`
	Certain bool   `json:"certain"` // it follows from counts alone: weights and moments
}

// The names of the processes, which are those of the recipe's tables.
const (
	Bridge   = "run"
	Vision   = "vision"
	Language = "language"
)

// Process holds the estimate of a process of a run at its peak.
type Process struct {
	Name  string `json:"process"`         // one of the constants
	Model string `json:"model,omitempty"` // the frozen model in it; empty for bridge itself
	Parts []Part `json:"parts"`
	Known bool   `json:"known"` // false for a plugin, and for a model whose sizes are not known: parts are missing
}

// Peak returns the sum of the parts.
func (p Process) Peak() int64 { return sum(p.Parts) }

func sum(parts []Part) (bytes int64) {
	for _, p := range parts {
		bytes += p.Bytes
	}
	return bytes
}

// Certain returns the sum of the parts that are certain.
func (p Process) Certain() (bytes int64) {
	for _, part := range p.Parts {
		if part.Certain {
			bytes += part.Bytes
		}
	}
	return bytes
}

// Total returns the sum of the peaks of processes. Peaks need not come at the same time.
func Total(all []Process) (sum int64) {
	for _, p := range all {
		sum += p.Peak()
	}
	return sum
}

// load holds the parts that the bridge or a frozen model adds to its process.
type load struct {
	held []Part // at all times: weights
	work []Part // while it computes or compiles
	rest []Part // while others do: compiled graphs
}

// Processes returns the processes of the run, bridge's own first.
func (r Run) Processes() []Process {
	own, inside := Process{Name: Bridge, Known: true, Parts: []Part{r.floor(Bridge)}}, []load{r.bridge()}
	var apart []Process
	for _, f := range []struct {
		name  string
		model *Frozen
		load  func() load
	}{{Vision, r.Vision, r.encoder}, {Language, r.Language, r.language}} {
		switch {
		case f.model == nil:
		case f.model.Inside:
			inside = append(inside, f.load())
			own.Known = own.Known && f.model.known()
		case f.model.Foreign:
			apart = append(apart, Process{Name: f.name, Model: f.model.ID})
		default:
			apart = append(apart, r.process(f.name, f.model, f.load()))
		}
	}
	own.Parts = append(own.Parts, together(inside...)...)
	return append([]Process{own}, apart...)
}

// together returns the parts of loads in one process. They compute one after the other, so only the
// largest work counts.
func together(loads ...load) (parts []Part) {
	most := 0
	for i, l := range loads {
		parts = append(parts, l.held...)
		if sum(l.work) > sum(loads[most].work) {
			most = i
		}
	}
	parts = append(parts, loads[most].work...)
	for i, l := range loads {
		if i != most {
			parts = append(parts, l.rest...)
		}
	}
	return parts
}

// known reports whether all of a frozen model's memory is estimated.
func (f *Frozen) known() bool {
	return !f.Foreign && f.Parameters > 0 && (f.Layers > 0 || f.Example > 0)
}
