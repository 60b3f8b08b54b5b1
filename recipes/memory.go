package recipes

import (
	"cmp"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train/memory"
)

// The longest texts that an estimate counts, in tokens, where the recipe sets no limit.
const (
	textTokens    = 32 // data.max_text_tokens by default, and the most that stage 1 reads
	kitTextTokens = 12 // of the kit's captions
)

// What the formula of a manifest's memory counts, by which a manifest without sizes is read.
const (
	manifestExamples = 16
	manifestOverhead = 500_000_000
)

// Processes estimates the peak memory of a run's processes: of a GPU's memory or, if onGPU is false, of
// the host's. c is the shape of the Q-Former. A model that no manifest or folder describes counts as
// nothing, and its process is not [memory.Process.Known].
func (r *Recipe) Processes(c qformer.Config, vision registry.Backbone, language *registry.Backbone, onGPU bool) []memory.Process {
	return r.memoryOf(c, vision, language, onGPU).Processes()
}

// memoryOf returns what determines the memory of the recipe's run.
func (r *Recipe) memoryOf(c qformer.Config, vision registry.Backbone, language *registry.Backbone, onGPU bool) memory.Run {
	c = r.withWords(c)
	trained := int64(r.trainable(c))
	run := memory.Run{
		Stage: r.Stage, QFormer: c, Trained: trained,
		Kept:     int64(qformer.Count(c.Parameters(qformer.Stage(r.Stage)))) - trained,
		Pictures: r.microBatch(), Text: r.longestText(), Accumulate: r.Optimizer.Accumulate > 1,
		Checkpointing: r.Run.Checkpointing, Narrow: r.Run.Compute == adapters.BFloat16.String(),
		Evaluated: r.Evaluation.Examples, OnGPU: onGPU,
		Tokens: vision.TokensAt(r.Vision.ImageSize), Vision: frozen(vision, r.Vision.Backbone),
	}
	if run.Tokens == 0 {
		run.Tokens = vision.Tokens
	}
	run.FeatureNumber = run.Vision.Number
	if language != nil && r.Language != nil {
		run.Language = frozen(*language, r.Language.Backbone)
	}
	return run
}

// microBatch returns the number of pictures that a step computes at once.
func (r *Recipe) microBatch() int { return max(1, r.Optimizer.Batch/max(1, r.Optimizer.Accumulate)) }

// longestText returns the longest text of an example, in tokens.
func (r *Recipe) longestText() int {
	limit := cmp.Or(r.Data.MaxTextTokens, textTokens)
	if strings.HasPrefix(r.Data.Train.ID, kitPrefix) {
		limit = min(limit, kitTextTokens)
	}
	return limit
}

// frozen returns what an estimate needs to know of a frozen model.
func frozen(m registry.Backbone, b Backbone) *memory.Frozen {
	unsized := max(0, m.Memory.Stage2-m.WeightBytes()-manifestOverhead) / manifestExamples
	return &memory.Frozen{
		ID: m.ID, Parameters: m.CountParameters(), Number: numberBytes(cmp.Or(b.DType, m.DType)), Width: m.Width,
		Layers: m.Sizes.Layers, FeedForward: m.Sizes.FeedForward, Heads: m.Sizes.Heads, Vocabulary: m.Sizes.Vocabulary,
		Decodes: m.Architecture == adapters.EncoderDecoder, Inside: b.Isolation == IsolationNone, Foreign: b.Plugin != "",
		Example: unsized,
	}
}

// numberBytes returns the size of a number of a type.
func numberBytes(dtype string) int64 {
	if dtype == adapters.BFloat16.String() {
		return 2
	}
	return 4
}
