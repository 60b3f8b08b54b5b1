package recipes

import (
	"maps"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/qformer"
)

// QFormer is the table [qformer]: the shape of a Q-Former that starts from random
// weights, under the names of BLIP-2's paper and configuration. With Recipe.From the
// shape is that bridge's, and only Dropout may be given.
//
// A preset is a set of defaults: the values of "base" and "tiny" are in presets, below.
// Without a preset, the keys without a default are required.
type QFormer struct {
	// Preset is "base" (the paper's) or "tiny" (the kit's). Default: none.
	Preset string `toml:"preset,omitempty"`
	// HiddenSize is the width of the layers and of the queries.
	HiddenSize int `toml:"hidden_size,omitzero"`
	// Layers is the number of transformer layers.
	Layers int `toml:"layers,omitzero"`
	// Heads is the number of attention heads, a divisor of HiddenSize.
	Heads int `toml:"heads,omitzero"`
	// FFNSize is the width inside the feed-forwards.
	FFNSize int `toml:"intermediate_size,omitzero"`
	// Queries is the number of learnt queries: tokens of the soft prompt per picture.
	Queries int `toml:"query_tokens,omitzero"`
	// CrossEvery puts cross-attention to the picture into every n-th layer. Default 2.
	CrossEvery int `toml:"cross_attention_frequency,omitzero"`
	// Projection is the width of the embeddings that ITC compares.
	Projection int `toml:"projection_dim,omitzero"`
	// Positions is the longest text in tokens. Default 512.
	Positions int `toml:"max_position_embeddings,omitzero"`
	// InitStd is the standard deviation of random weights. Default 0.02.
	InitStd float64 `toml:"initializer_range,omitzero"`
	// Dropout is the fraction of activations that training drops. Default 0.1; with
	// Recipe.From that bridge's.
	Dropout *float64 `toml:"dropout"`
	// Tokenizer is the tokenizer of the text side: a folder, a repository in the Hugging Face
	// cache, or the kit's ("kit:qformer").
	Tokenizer string `toml:"tokenizer,omitempty"`
	// Init is the BERT whose weights the Q-Former starts with: a folder or a repository
	// in the Hugging Face cache. Default: none, random weights.
	Init string `toml:"init,omitempty"`
}

// presets returns Q-Former shapes by name: "" is no preset.
func presets() map[string]QFormer {
	base, none := 0.1, 0.0 // the paper's, and none for the kit's small data
	return map[string]QFormer{
		"": {CrossEvery: 2, Positions: 512, InitStd: 0.02, Dropout: &base},
		"base": {Preset: "base", HiddenSize: 768, Layers: 12, Heads: 12, FFNSize: 3072, Queries: 32, CrossEvery: 2,
			Projection: 256, Positions: 512, InitStd: 0.02, Dropout: &base, Tokenizer: "bert-base-uncased"},
		"tiny": {Preset: "tiny", HiddenSize: 128, Layers: 4, Heads: 4, FFNSize: 512, Queries: 10, CrossEvery: 2,
			Projection: 64, Positions: 32, InitStd: 0.04, Dropout: &none, Tokenizer: "kit:qformer"},
	}
}

// defaultQFormer returns the preset that the document names, or nothing if the shape is
// that of the bridge to start from.
func defaultQFormer(doc *stricttoml.Document) QFormer {
	if from, _ := doc.Value("from"); from != nil && from != "" {
		return QFormer{}
	}
	name, _ := doc.Value("qformer.preset")
	preset, _ := name.(string)
	return presets()[preset]
}

// shapeKeys lists the keys that a bridge to start from determines.
func shapeKeys() []string {
	return []string{"preset", "hidden_size", "layers", "heads", "intermediate_size", "query_tokens", "cross_attention_frequency",
		"projection_dim", "max_position_embeddings", "initializer_range", "tokenizer", "init"}
}

func (r *Recipe) checkQFormer() {
	q := r.QFormer
	if q.Dropout != nil {
		r.want("qformer.dropout", *q.Dropout >= 0 && *q.Dropout < 1, "is %v, want at least 0 and less than 1", *q.Dropout)
	}
	if r.From != "" {
		for _, key := range shapeKeys() {
			r.want("qformer."+key, !r.doc.Has("qformer."+key),
				"is given, but the Q-Former has the shape of the bridge that `from` names; remove one of the two")
		}
		return
	}
	names := slices.Sorted(maps.Keys(presets()))
	if !slices.Contains(names, q.Preset) { // without it there are no defaults to check
		r.doc.Errorf("qformer.preset", "is %q, want one of %s%s", q.Preset, strings.Join(names[1:], ", "), didyoumean.Hint(q.Preset, names))
		return
	}
	r.checkShape()
	r.want("qformer.tokenizer", q.Tokenizer != "", "is missing, want the tokenizer of the text side: a folder, or %q", kitTokenizer)
	r.want("qformer.tokenizer", !strings.HasPrefix(q.Tokenizer, kitPrefix) || q.Tokenizer == kitTokenizer,
		"is %q, want %s, or a folder%s", q.Tokenizer, kitTokenizer, didyoumean.Hint(q.Tokenizer, []string{kitTokenizer}))
}

// checkShape checks the numbers of a Q-Former that starts from random weights.
func (r *Recipe) checkShape() {
	q := r.QFormer
	for _, f := range []struct {
		key string
		v   int
	}{{"hidden_size", q.HiddenSize}, {"layers", q.Layers}, {"heads", q.Heads}, {"intermediate_size", q.FFNSize},
		{"query_tokens", q.Queries}, {"cross_attention_frequency", q.CrossEvery}, {"projection_dim", q.Projection},
		{"max_position_embeddings", q.Positions}} {
		r.want("qformer."+f.key, f.v > 0, "is %d, want a positive number (or give preset = \"base\", or a bridge with `from`)", f.v)
	}
	r.want("qformer.initializer_range", q.InitStd > 0 && q.InitStd < 1, "is %v, want a small number above 0, such as 0.02", q.InitStd)
	if q.Heads > 0 {
		r.want("qformer.heads", q.HiddenSize%q.Heads == 0, "is %d, want a divisor of hidden_size, %d", q.Heads, q.HiddenSize)
	}
	r.want("qformer.max_position_embeddings", r.Stage != 1 || q.Positions <= 0 || q.Positions >= bridge.MaxTextTokens,
		"is %d, want at least %d: the longest text that stage 1 reads, in tokens", q.Positions, bridge.MaxTextTokens)
}

// Shape returns the recipe's Q-Former between frozen models of the given widths: the
// shape of the bridge that it starts from or, if from is nil, the one that the recipe
// gives. vocabulary is the text side's, [DEC] included.
func (r *Recipe) Shape(from *qformer.Config, vision, language, vocabulary int) qformer.Config {
	c := qformer.Base()
	switch q := r.QFormer; {
	case from != nil:
		c = *from
	case r.From == "":
		c.HiddenSize, c.Layers, c.Heads, c.Intermediate = q.HiddenSize, q.Layers, q.Heads, q.FFNSize
		c.Queries, c.CrossEvery, c.ProjectionDim = q.Queries, q.CrossEvery, q.Projection
		c.MaxPositions, c.InitStd, c.Dropout = q.Positions, q.InitStd, *q.Dropout
	}
	c.EncoderWidth, c.LanguageWidth, c.Vocabulary = vision, language, vocabulary
	return c
}

// QFormerConfig returns the shape of the Q-Former that a recipe without From starts with.
// The vocabulary is the tokenizer's, and stays 0.
func (r *Resolved) QFormerConfig() qformer.Config {
	language := 0
	if r.LanguageModel != nil {
		language = r.LanguageModel.Width
	}
	return r.Shape(nil, r.VisionModel.Width, language, 0)
}
