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

// cachedNumber is the size of a number in the cache of features, bfloat16.
const cachedNumber = 2

// Machine holds the facts of an estimate of a run's memory that the recipe and its models do not have.
type Machine struct {
	OnGPU bool          // the estimate is of a GPU's memory, and otherwise of the host's
	Start *memory.Start // what the run fits before its first step; nil if that is nothing or not known
}

// Processes estimates the peak memory of a run's processes. c is the shape of the Q-Former. A model that no manifest or folder describes counts as
// nothing, and its process is not [memory.Process.Known].
func (r *Recipe) Processes(c qformer.Config, vision registry.Backbone, language *registry.Backbone, m Machine) []memory.Process {
	return r.memoryOf(c, vision, language, m).Processes()
}

// memoryOf returns what determines the memory of the recipe's run.
func (r *Recipe) memoryOf(c qformer.Config, vision registry.Backbone, language *registry.Backbone, m Machine) memory.Run {
	c = r.withWords(c)
	trained := int64(r.trainable(c))
	run := memory.Run{
		Stage: r.Stage, QFormer: c, Trained: trained,
		Kept:     int64(qformer.Count(c.Parameters(qformer.Stage(r.Stage)))) - trained,
		Pictures: r.microBatch(), Text: r.longestText(), Accumulate: r.Optimizer.Accumulate > 1,
		Checkpointing: r.Run.Checkpointing, Narrow: r.Run.Compute == adapters.BFloat16.String(),
		Evaluated: r.Evaluation.Examples, CachedOutputs: r.cachedOutputs(), Start: m.Start, OnGPU: m.OnGPU,
		Tokens: vision.TokensAt(r.Vision.ImageSize), Vision: frozen(vision, r.Vision.Backbone),
	}
	if run.Tokens == 0 {
		run.Tokens = vision.Tokens
	}
	run.FeatureNumber = run.Vision.Number
	if r.Run.FeatureCache {
		run.FeatureNumber = cachedNumber
	}
	if language != nil && r.Language != nil {
		run.Language = frozen(*language, r.Language.Backbone)
	}
	return run
}

// cachedOutputs returns the number of pictures whose outputs of the Q-Former the run keeps.
func (r *Recipe) cachedOutputs() int {
	if s := r.Swap; s != nil && (s.WarmupSteps > 0 || s.FreezeQFormer) {
		return s.WarmupImages
	}
	return 0
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
	return &memory.Frozen{
		ID: m.ID, Parameters: m.CountParameters(), Number: numberBytes(cmp.Or(b.DType, m.DType)), Width: m.Width,
		Layers: m.Sizes.Layers, FeedForward: m.Sizes.FeedForward, Heads: m.Sizes.Heads, Vocabulary: m.Sizes.Vocabulary,
		Decodes: m.Architecture == adapters.EncoderDecoder, Inside: b.Isolation == IsolationNone, Foreign: b.Plugin != "",
		Picture: 3 * int64(m.ImageSize) * int64(m.ImageSize), Example: memory.ExampleOf(m.Memory.Stage2, m.WeightBytes(), m.Kind == adapters.KindVision),
	}
}

// ModelMemory estimates the peak memory of a frozen model's own process, at the type of its manifest. If the
// manifest has no sizes, it returns the figures that the manifest has: 0 for none.
func ModelMemory(m registry.Backbone, onGPU bool) registry.Memory {
	if !m.Sizes.Known() {
		return m.Memory
	}
	tokens := 0
	if m.Kind == adapters.KindVision {
		tokens = m.Tokens
	}
	use := memory.Alone(*frozen(m, Backbone{}), tokens, onGPU)
	return registry.Memory{Inference: use.Inference.Peak(), Stage2: use.Stage2.Peak()}
}

// numberBytes returns the size of a number of a type.
func numberBytes(dtype string) int64 {
	if dtype == adapters.BFloat16.String() {
		return 2
	}
	return 4
}
