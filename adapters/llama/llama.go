// Package llama owns the Llama family (Touvron et al., arXiv 2307.09288; Llama 3, arXiv
// 2407.21783) behind adapters.LanguageModel: the configurations of Llama 1 to 3, of models of
// the same form (Vicuna, SmolLM2), and of Mistral, which adds a sliding window. It reads
// Hugging Face checkpoint folders; package adapters/internal/lm/gated has the network. It must
// not know where soft prompts come from, nor how tokens are chosen.
//
// Soft prompts enter in place of token embeddings and take positions as tokens do. An answer
// ends at the config's eos_token_id. A model that [Open] returns owns its weights until it is
// closed; requests and responses belong to the caller.
package llama

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/adapters/internal/lm/gated"
	"github.com/modular-bridging/bridge/internal/weights"
)

const (
	typeLlama   = "llama"
	typeMistral = "mistral"
)

// Family describes the family for a registry.
func Family() adapters.Family {
	return adapters.Family{
		Name: "llama", Kind: adapters.KindLanguage, OpenLanguage: Open, ModelTypes: []string{typeLlama, typeMistral},
		Architecture: adapters.DecoderOnly, Tokenizer: tokenizerDefaults, TensorName: gated.TensorName(),
	}
}

// tokenizerDefaults returns those of Llama, or of Mistral, whose SentencePiece model
// transformers never reads as LlamaTokenizer. A Llama folder must name its class:
// transformers' default for it puts no space before a text.
func tokenizerDefaults(modelType string) adapters.TokenizerDefaults {
	d := adapters.TokenizerDefaults{SentencePiece: "tokenizer.model"}
	if modelType == typeMistral {
		d.Class, d.IgnoreClass = "TokenizersBackend", true
	}
	return d
}

// Open loads a checkpoint folder: config.json, weights, and tokenizer.json or
// tokenizer.model.
func Open(ctx context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
	return decoder.Open(ctx, req, Family(), read)
}

// config holds the keys of config.json beyond the shared ones.
type config struct {
	gated.Config
	AttentionBias bool `json:"attention_bias"` // Llama alone has the biases,
	MLPBias       bool `json:"mlp_bias"`
	SlidingWindow *int `json:"sliding_window"` // Mistral the window
}

// defaults returns those of LlamaConfig or MistralConfig.
func defaults(modelType string) config {
	c := config{Config: gated.Defaults()}
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads = 32000, 4096, 11008, 32, 32
	c.MaxPositionEmbeddings, c.EOSTokenID = 2048, lm.TokenIDs{2}
	if modelType == typeMistral {
		c.IntermediateSize, c.NumKeyValueHeads, c.MaxPositionEmbeddings, c.SlidingWindow = 14336, new(8), 131072, new(4096)
	}
	return c
}

func read(folder *weights.Folder) (decoder.Definition, error) {
	c := defaults(folder.ModelType())
	if err := folder.DecodeConfig(&c); err != nil {
		return decoder.Definition{}, err
	}
	m := gated.Variant{Config: c.Config}
	if folder.ModelType() == typeLlama {
		m.QKVBias, m.OutputBias, m.MLPBias = c.AttentionBias, c.AttentionBias, c.MLPBias
		return m.Read(folder)
	}
	if c.SlidingWindow != nil {
		if err := decoder.CheckSizes(folder, decoder.Size{Key: "sliding_window", Value: *c.SlidingWindow}); err != nil {
			return decoder.Definition{}, err
		}
		for range c.NumHiddenLayers {
			m.Windows = append(m.Windows, *c.SlidingWindow)
		}
	}
	return m.Read(folder)
}
