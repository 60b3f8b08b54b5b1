// Package gpt2 owns the GPT-2 family (Radford et al., 2019) behind adapters.LanguageModel:
// the configuration, tensor names and network of GPT-2 from small to XL and of models of the
// same form (DistilGPT-2), read from Hugging Face checkpoint folders. It must not know where
// soft prompts come from, nor how tokens are chosen.
//
// Soft prompts enter in place of token embeddings and take positions as tokens do. An answer
// ends at the config's eos_token_id. A model that [Open] returns owns its weights until it is
// closed; requests and responses belong to the caller.
package gpt2

import (
	"context"
	"math"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Family describes the family for a registry.
func Family() adapters.Family {
	return adapters.Family{
		Name: "gpt2", Kind: adapters.KindLanguage, OpenLanguage: Open, ModelTypes: []string{"gpt2"},
		Architecture: adapters.DecoderOnly, TensorName: lm.TensorName("transformer.", maskSuffix, maskedValueSuffix),
		Tokenizer: func(string) adapters.TokenizerDefaults {
			return adapters.TokenizerDefaults{Class: "GPT2Tokenizer"}
		},
	}
}

// Open loads a checkpoint folder: config.json, weights, and tokenizer.json or
// vocab.json with merges.txt.
func Open(ctx context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
	return decoder.Open(ctx, req, Family(), read)
}

func read(folder *weights.Folder) (decoder.Definition, error) {
	c, err := readConfig(folder)
	if err != nil {
		return decoder.Definition{}, err
	}
	b := body{c, decoder.FindWeights(folder, "transformer.", "wte", c.TieWordEmbeddings)}
	return decoder.Definition{
		Width: c.Width, Vocabulary: c.VocabSize, Context: c.Positions, End: c.EOSTokenID,
		Network:   decoder.Network{Body: b, Heads: c.Heads, KVHeads: c.Heads, HeadDim: c.Width / c.Heads, Blocks: c.blocks()},
		Embedding: b.EmbeddingName(), Tensors: b.tensorSpecs(), Unused: b.unused(),
	}, nil
}

// blocks returns the attention of each block, with the scale of its scores.
func (c config) blocks() []decoder.BlockAttention {
	blocks := decoder.Repeat(c.Layers, decoder.BlockAttention{Scale: 1})
	for i := range blocks {
		if c.ScaleAttnWeights {
			blocks[i].Scale /= math.Sqrt(float64(c.Width / c.Heads))
		}
		if c.ScaleByInverseLayer {
			blocks[i].Scale /= float64(i + 1)
		}
	}
	return blocks
}
