// Package qwen owns the Qwen family behind adapters.LanguageModel: the configurations of Qwen2
// and Qwen2.5 (arXiv 2407.10671, 2412.15115), whose queries, keys and values have biases, and
// of Qwen3 (arXiv 2505.09388), which norms queries and keys. It reads Hugging Face checkpoint
// folders; package adapters/internal/lm/gated has the network. It must not know where soft
// prompts come from, nor how tokens are chosen.
//
// Soft prompts enter in place of token embeddings and take positions as tokens do. An answer
// ends at the config's eos_token_id. A model that [Open] returns owns its weights until it is
// closed; requests and responses belong to the caller.
package qwen

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/adapters/internal/lm/gated"
	"github.com/modular-bridging/bridge/internal/weights"
)

const (
	typeQwen2 = "qwen2"
	typeQwen3 = "qwen3"
)

// Family describes the family for a registry.
func Family() adapters.Family {
	return adapters.Family{
		Name: "qwen", Kind: adapters.KindLanguage, OpenLanguage: Open, ModelTypes: []string{typeQwen2, typeQwen3},
		Architecture: adapters.DecoderOnly, TensorName: gated.TensorName(), Tokenizer: tokenizerDefaults,
	}
}

// tokenizerDefaults returns the class that transformers takes for Qwen2 whatever the folder
// names, and for Qwen3 if it names none.
func tokenizerDefaults(modelType string) adapters.TokenizerDefaults {
	return adapters.TokenizerDefaults{Class: "Qwen2Tokenizer", IgnoreClass: modelType == typeQwen2}
}

// Open loads a checkpoint folder: config.json, weights and tokenizer.json.
func Open(ctx context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
	return decoder.Open(ctx, req, Family(), read)
}

// config holds the keys of config.json beyond the shared ones.
type config struct {
	gated.Config
	AttentionBias    bool     `json:"attention_bias"` // of Qwen3; Qwen2's are fixed
	UseSlidingWindow bool     `json:"use_sliding_window"`
	SlidingWindow    *int     `json:"sliding_window"`
	MaxWindowLayers  int      `json:"max_window_layers"`
	LayerTypes       []string `json:"layer_types"`
}

// defaults returns those of Qwen2Config or Qwen3Config.
func defaults(modelType string) config {
	c := config{Config: gated.Defaults(), SlidingWindow: new(4096), MaxWindowLayers: 28}
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers = 151936, 4096, 22016, 32
	c.NumAttentionHeads, c.NumKeyValueHeads, c.MaxPositionEmbeddings = 32, new(32), 32768
	if modelType == typeQwen3 {
		c.HeadDim = new(128)
	}
	return c
}

func read(folder *weights.Folder) (decoder.Definition, error) {
	c := defaults(folder.ModelType())
	if err := folder.DecodeConfig(&c); err != nil {
		return decoder.Definition{}, err
	}
	m := gated.Variant{Config: c.Config, QKVBias: true}
	if folder.ModelType() == typeQwen3 {
		m.QKNorm, m.QKVBias, m.OutputBias = true, c.AttentionBias, c.AttentionBias
	}
	var err error
	if m.Windows, err = c.windows(folder); err != nil {
		return decoder.Definition{}, err
	}
	return m.Read(folder)
}

// windows returns the sliding window of each layer. Without layer_types, the layers from
// max_window_layers on have one.
func (c config) windows(folder *weights.Folder) ([]int, error) {
	window := c.SlidingWindow
	if !c.UseSlidingWindow {
		window = nil
	}
	types := c.LayerTypes
	if types == nil {
		for i := range c.NumHiddenLayers {
			kind := "full_attention"
			if window != nil && i >= c.MaxWindowLayers {
				kind = "sliding_attention"
			}
			types = append(types, kind)
		}
	}
	return decoder.Windows(folder, types, c.NumHiddenLayers, window)
}
