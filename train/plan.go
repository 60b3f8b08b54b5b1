package train

import "github.com/modular-bridging/bridge/bridge"

// Module names a part of the bridge that a stage can train.
type Module string

// The trainable parts. The frozen models are never among them.
const (
	QFormer    Module = "qformer"    // queries, Q-Former layers, ln_vision; in stage 1 the text side and the heads too
	Projection Module = "projection" // the linear map from the Q-Former's width to the language model's
)

// Objective names what a stage minimises.
type Objective string

// The objectives.
const (
	// Representation is stage 1: ITC + ITM + ITG between pictures and captions
	// (BLIP-2, section 3.1). No language model takes part.
	Representation Objective = "representation"
	// LanguageModeling is stage 2 for a decoder-only model as BLIP-2 pretrains:
	// soft prompts, then the caption, no text in between.
	LanguageModeling Objective = "lm"
	// PrefixLM is stage 2 for an encoder-decoder as LAVIS pretrains: the caption
	// is split at a place drawn uniformly between its first word and its
	// midpoint; the first part goes to the encoder, the rest is the target.
	PrefixLM Objective = "prefix-lm"
	// PromptCaption is soft prompts and the caption prompt, target the caption;
	// for both kinds of language model.
	PromptCaption Objective = "prompt-caption"
)

// Schedule is linear warm-up from 0 to the peak, then a cosine down to
// MinFactor of the peak, per optimizer step.
type Schedule struct {
	Steps     int
	Warmup    int
	MinFactor float64
}

// Optimizer is AdamW's figures. Parameters with one axis are not decayed.
type Optimizer struct {
	// LearningRate is the peak per module; a module without an entry that a
	// stage trains is an error.
	LearningRate map[Module]float64
	Beta1, Beta2 float64
	Epsilon      float64
	WeightDecay  float64
	ClipNorm     float64 // of the global gradient norm; 0 does not clip
}

// Mix says what a batch is made of.
type Mix struct {
	// Questions is the fraction of examples that are a question and its answer
	// instead of a caption; stage 2 only.
	Questions float64
	// Similar is the fraction of a batch that is drawn to share a word with the
	// rest of it, so that ITM meets negatives that are hard to tell; stage 1
	// only.
	Similar float64
}

// Stage is one training: a value, so that stage 1, stage 2, projector warm-up
// and fine-tuning differ in nothing else.
type Stage struct {
	Name      string // "stage-1", "projector-warmup", "stage-2": names its metrics and checkpoints
	Objective Objective
	Train     []Module
	Schedule  Schedule
	Optimizer Optimizer
	// Batch is the examples of one optimizer step. They are computed in
	// Accumulate micro-batches of equal size whose gradients add up; stage 2
	// only beyond 1, since ITC needs its batch whole.
	Batch, Accumulate int
	Mix               Mix
	// CachedQueries, in a stage that trains the projection alone, is the number
	// of training pictures whose Q-Former outputs are computed once and reused.
	CachedQueries int
	// Weights of ITC, ITM and ITG in stage 1. All three zero mean 1 each; beside
	// another weight, zero leaves the loss out.
	ITC, ITM, ITG float64
}

// Evaluation says what is measured on held-out data, and how often.
type Evaluation struct {
	Every    int // steps; 0 means only at the end of a stage
	Examples int // for held-out loss, grounding gauge and retrieval
	Captions int // generated for exact match; 0 means none
	// FinalCaptions is generated at the end of the last stage; 0 means Captions.
	FinalCaptions int
	// Rerank is, at the end of stage 1, how many of each picture's and text's
	// best candidates by ITC are ranked again by ITM; 0 means none.
	Rerank int
}

// Start says where the projection of a stage-2 training comes from.
type Start string

// The starts of a projection.
const (
	StartFresh        Start = "fresh"         // random, scaled to the model's token norm
	StartSharedTokens Start = "shared-tokens" // carried over by least squares on token embeddings that both models share
	// StartOrthogonal carries it over likewise by a scaled rotation.
	StartOrthogonal Start = "orthogonal"
	// StartCaptionTokens needs no old projection: a ridge regression from Q-Former
	// outputs to the new model's embeddings of the captions' tokens.
	StartCaptionTokens Start = "caption-tokens"
	StartKeep          Start = "keep" // the checkpoint's own: same language model
)

// Plan is everything that a run does, resolved: what recipes turn into.
type Plan struct {
	Seed       uint64
	Stages     []Stage
	Evaluation Evaluation
	Prompts    bridge.Templates
	Start      Start
	// MaxTextTokens is the most tokens of a caption or an answer, the end of the
	// answer counted; longer ones are cut (LAVIS: max_txt_len 32). 0 cuts none.
	MaxTextTokens int
	// CheckpointEvery is in optimizer steps; 0 means at the end of a stage only.
	CheckpointEvery int
}
