package recipes

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/registry"
)

// Run is the table [run]. It selects the backend, the checkpoints and the feature cache. A
// resumed run may have other values, except of Compute.
type Run struct {
	// Backend computes the bridge: "go", "xla:cpu", "xla:cuda" or "auto", the
	// quickest one that this machine has. Default "auto".
	Backend string `toml:"backend"`
	// CheckpointEvery is the number of steps between checkpoints. Default 0: at the end
	// of a stage only.
	CheckpointEvery int `toml:"checkpoint_every"`
	// Keep is the number of checkpoints that are kept, the newest ones. Default 2.
	Keep int `toml:"keep"`
	// FeatureCache keeps the encoder's features on disk, for this run and later ones.
	// Default true.
	FeatureCache bool `toml:"feature_cache"`
	// GPUMemory is the share of a GPU's memory that bridge's own process may take, above 0
	// and at most 1. Default 0.95.
	GPUMemory float64 `toml:"gpu_memory,omitzero"`
	// Compute is the type in which training steps compute the Q-Former: "float32" or
	// "bfloat16". Weights, moments, norms, softmaxes and losses are float32 in any case. A
	// resumed run must have the same. Default "float32".
	Compute string `toml:"compute,omitempty"`
	// Checkpointing halves the memory of the Q-Former's activations: the backward pass computes
	// each layer again (gradient checkpointing). Losses are the same, steps are slower. Default
	// false.
	Checkpointing bool `toml:"checkpointing,omitempty"`
	// IgnoreMemory starts the run even if, by the estimate, the memory of this machine cannot hold
	// it. Default false.
	IgnoreMemory bool `toml:"ignore_memory,omitempty"`
}

func defaultRun() Run { return Run{Backend: "auto", Keep: 2, FeatureCache: true} }

func (r *Recipe) checkRun() {
	if err := backends.Check(r.Run.Backend); err != nil {
		r.doc.Errorf("run.backend", "%v", err)
	}
	r.want("run.checkpoint_every", r.Run.CheckpointEvery >= 0, "is %d, want steps, or 0 for the end of a stage only", r.Run.CheckpointEvery)
	if r.Run.Compute != "" {
		r.oneOf("run.compute", r.Run.Compute, registry.DTypes()...)
	}
	r.wantShare("run.gpu_memory", r.Run.GPUMemory)
	r.want("run.keep", r.Run.Keep > 0, "is %d, want at least 1 checkpoint", r.Run.Keep)
}

// compute returns the type of the Q-Former's training steps; the zero value is float32.
func (r Run) compute() adapters.DType {
	if r.Compute == adapters.BFloat16.String() {
		return adapters.BFloat16
	}
	return adapters.InvalidDType
}
