package bridge

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

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
	// Fresh makes the weights random, even if the old bridge speaks in the same words.
	Fresh bool
}

// ForLanguageInWords returns a stage-2 bridge for a language model, whose projection speaks in
// words: a soft prompt is the sum of their embeddings, each times a weight that depends on the
// picture alone. If b speaks in the same words, the new bridge keeps the layers that give the
// weights. The embeddings are random, of the model's token norm, and the residual is zero:
// [Bridge.SetWordEmbeddings] and [Bridge.KeepPrompts] replace them. ForLanguageInWords does not
// change b.
func (b *Bridge) ForLanguageInWords(spec adapters.LanguageSpec, templates Templates, words Words, seed uint64) (*Bridge, error) {
	if len(words.List) < 2 {
		return nil, adapters.Errorf(adapters.Invalid, "a projection into %d words, want at least 2", len(words.List))
	}
	next, err := b.forLanguage(spec, templates, words, seed)
	if err != nil {
		return nil, err
	}
	std := float64(spec.TokenNorm) / math.Sqrt(float64(spec.Width))
	if err := next.SetWordEmbeddings(normals(len(words.List)*spec.Width, std, seed, 0x776f7264)); err != nil { // "word"
		next.Close()
		return nil, err
	}
	return next, nil
}

// KeepPrompts replaces the soft prompts of the words, and the residual if both bridges have one,
// by those of another bridge. It must speak in the same words to a language model of the same
// width.
func (b *Bridge) KeepPrompts(from *Bridge) error {
	if !slices.Equal(b.Info.Words, from.Info.Words) || b.config.LanguageWidth != from.config.LanguageWidth {
		return adapters.Errorf(adapters.Invalid, "soft prompts of %d words of width %d, want those of the same %d words of width %d",
			len(from.Info.Words), from.config.LanguageWidth, len(b.Info.Words), b.config.LanguageWidth)
	}
	names := []string{wordEmbeddings}
	if b.config.Residual && from.config.Residual {
		names = append(names, projectionWeight, projectionBias)
	}
	for _, name := range names {
		if err := copyVariable(b.store, from.store, name); err != nil {
			return err
		}
	}
	return nil
}

// WordEmbeddings returns the soft prompts of the words, float32[W, Dllm], row-major. It returns an
// error if the projection is linear.
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
			WithRemedy("train a bridge with projection.kind = \"words\", or swap one with swap.projection = \"words\"")
	}
	return b.inBuckets(ctx, "word-weights", features, func(m *qformer.Model, features *Node) *Node {
		return m.WordWeights(m.Queries(features))
	})
}

// WordWeight is a word with its weight in a soft prompt, between 0 and 1.
type WordWeight struct {
	Word   string  `json:"word"`
	Weight float32 `json:"weight"`
}

// SaidWords returns the n words with the largest weights in each soft prompt, the largest first,
// for each query of each picture: [B][Q][n]. features are [B, N, Denc]. It returns an Unsupported
// error if the projection is linear.
func (b *Bridge) SaidWords(ctx context.Context, features *adapters.Tensor, n int) ([][][]WordWeight, error) {
	weights, err := b.WordWeights(ctx, features)
	if err != nil {
		return nil, err
	}
	said := make([][][]WordWeight, weights.Shape[0])
	for i := range said {
		picture := weights.Row(i).Float32s()
		for query := range slices.Chunk(picture, len(b.Info.Words)) {
			said[i] = append(said[i], largest(b.Info.Words, query, n))
		}
	}
	return said, nil
}

// WordsText returns words and their weights in a line: "dog 0.93, cat 0.04". It leaves out weights
// that are 0.00 when rounded, except the first.
func WordsText(words []WordWeight) string {
	var texts []string
	for i, w := range words {
		if i == 0 || w.Weight >= 0.005 {
			texts = append(texts, fmt.Sprintf("%s %.2f", w.Word, w.Weight))
		}
	}
	return strings.Join(texts, ", ")
}

// largest returns the n words with the largest weights, the largest first, and the first words
// of the list among equals.
func largest(words []string, weights []float32, n int) []WordWeight {
	all := make([]WordWeight, len(words))
	for i, w := range words {
		all[i] = WordWeight{w, weights[i]}
	}
	slices.SortStableFunc(all, func(a, b WordWeight) int { return cmp.Compare(b.Weight, a.Weight) })
	return all[:min(n, len(all))]
}
