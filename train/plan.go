package train

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// Module names a part of the bridge that a phase can train.
type Module string

// The trainable parts. The frozen models are never among them.
const (
	QFormer    Module = "qformer"    // queries, Q-Former layers, ln_vision; in stage 1 the text side and the heads too
	Projection Module = "projection" // the map from the Q-Former's outputs to soft prompts
)

// Optimizer holds the learning rates of a phase and AdamW's settings.
type Optimizer struct {
	// LearningRate is the peak of each module. A phase that trains a module without an
	// entry cannot run.
	LearningRate map[Module]float64
	// Words and Residual are the peak rates of the soft prompts of words and of the linear map
	// beside them, which belong to the projection. They are relative to the root mean square of
	// the language model's token embeddings, because AdamW's step has a fixed size. There is no
	// decay. 0 does not train the part.
	Words    float64 `json:",omitzero"`
	Residual float64 `json:",omitzero"`
	optim.Config
}

// Phase is one training of a plan. Stage 1, stage 2, projector warm-up and fine-tuning
// are phases that differ only in the values of these fields. A stage is BLIP-2's, 1 or 2:
// a plan for stage 2 can have two phases, a warm-up and the training itself.
type Phase struct {
	Name      string // "stage-1", "projector-warmup", "stage-2": names its metrics and checkpoints
	Objective objective.Objective
	Train     []Module
	Schedule  optim.Schedule
	Optimizer Optimizer
	// Batch is the number of samples in one optimizer step. They are computed in
	// Accumulate micro-batches of equal size whose gradients add up. Stage 1 takes
	// no more than 1, because ITC compares the whole batch at once.
	Batch, Accumulate int
	Mix               objective.Mix
	// CachedQueries, in a phase that trains the projection alone, is the number
	// of training pictures whose Q-Former outputs are computed once and reused.
	CachedQueries int
	// Augment changes the pictures at random. It needs features that are computed live.
	Augment           data.Augmentation `json:",omitempty"`
	objective.Weights                   // stage 1 only
}

// Evaluation says what is measured on the evaluation set, and how often.
type Evaluation struct {
	Every    int // steps; 0 means only at the end of a phase
	Examples int // for the loss, grounding and retrieval
	Captions int // generated for the metrics of captions; 0 means none
	// FinalCaptions is generated at the end of the last phase; 0 means Captions.
	FinalCaptions int
	// Rerank is, at the end of stage 1, how many of each picture's and text's
	// best candidates by ITC are ranked again by ITM; 0 means none.
	Rerank int
	// NoAnswers leaves out the questions about the pictures, which otherwise are asked at the end of the run.
	NoAnswers bool `json:",omitempty"`
}

// Plan is everything that a run does, resolved: recipes turn into plans.
//
// Every checkpoint holds its run's plan as JSON, and a resumed run must have the
// same one. Keys of this JSON never change: a renamed field keeps its old key.
type Plan struct {
	Seed           uint64
	Phases         []Phase `json:"Stages"`
	Evaluation     Evaluation
	Templates      bridge.Templates `json:"Prompts"` // texts around captions and questions
	ProjectionInit ProjectionInit   `json:"Start"`
	// MaxTextTokens is the most tokens of a caption, a prefix, a question or an answer, the
	// end counted and, in stage 1, [CLS], too. Longer ones are cut (LAVIS: max_txt_len 32).
	// 0 cuts only what the models cannot read.
	MaxTextTokens int
	// Mixture says how often the sources of the training set are drawn, which is a
	// [data.Sources] then; nil if it is one source.
	Mixture *data.Mix `json:",omitempty"`
	// Compute is the type in which training steps compute the Q-Former: Float32, which is also the
	// zero value's meaning, or BFloat16.
	Compute adapters.DType `json:",omitzero"`
	// CheckpointEvery is in optimizer steps; 0 means at the end of a phase only.
	CheckpointEvery int
	// Until, if non-nil, may end the last phase before its last step.
	Until *Until `json:",omitempty"`
}
