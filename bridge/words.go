package bridge

import (
	"context"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/qformer"
)

// wordEmbeddings is the name of the soft prompts of the words.
const wordEmbeddings = "word_projection.embeddings.weight"

// Words are the words that a projection speaks in.
type Words struct {
	List []string
	// Residual adds a linear projection, which starts at zero. Training uses it for what words
	// cannot say to a language model.
	Residual bool
}

// ForLanguageInWords returns a stage-2 bridge for a language model, whose projection speaks in
// words: a soft prompt is the sum of their embeddings, each times a weight that depends on the
// picture alone. If b speaks in the same words, the new bridge keeps the weights' layers, and
// only the embeddings and the residual are fresh. It does not change b. [Bridge.SetWordEmbeddings] replaces the
// embeddings, which are random.
func (b *Bridge) ForLanguageInWords(spec adapters.LanguageSpec, templates Templates, words Words, seed uint64) (*Bridge, error) {
	if len(words.List) < 2 {
		return nil, adapters.Errorf(adapters.Invalid, "a projection into %d words, want at least 2", len(words.List))
	}
	return b.forLanguage(spec, templates, words, seed)
}

// WordEmbeddings returns the soft prompts of the words, float32[W, Dllm], row-major. The bridge
// must speak in words.
func (b *Bridge) WordEmbeddings() ([]float32, error) { return b.values(wordEmbeddings) }

// SetWordEmbeddings replaces the soft prompts of the words by float32[W, Dllm], row-major.
func (b *Bridge) SetWordEmbeddings(values []float32) error {
	words, width := b.config.Words, b.config.LanguageWidth
	if len(values) != words*width {
		return adapters.Errorf(adapters.Invalid, "%d values for the embeddings of words, want %d×%d", len(values), words, width)
	}
	return b.setValues(wordEmbeddings, values, words, width)
}

// WordWeights returns the weight of each word in each soft prompt, float32[B, Q, W], for features
// [B, N, Denc]. The weights of a soft prompt sum to 1.
func (b *Bridge) WordWeights(ctx context.Context, features *adapters.Tensor) (*adapters.Tensor, error) {
	if b.config.Words == 0 {
		return nil, adapters.Errorf(adapters.Unsupported, "the bridge's projection is linear, and speaks in no words").
			WithRemedy("train it with projection.kind = \"words\"")
	}
	return b.inBuckets(ctx, "word-weights", features, func(m *qformer.Model, features *Node) *Node {
		return m.WordWeights(m.Queries(features))
	})
}
