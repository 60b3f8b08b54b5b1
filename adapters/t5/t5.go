// Package t5 owns the T5 family behind adapters.LanguageModel: the configuration, tensor
// names and network of T5 v1.1 and FlanT5 (gated feed-forward, untied head) and of the
// original T5 (Raffel et al., arXiv 1910.10683), read from Hugging Face checkpoint folders.
// It must not know where soft prompts come from, nor how tokens are chosen.
//
// Segments go to the encoder, where soft prompts stand beside token embeddings. The target
// goes to the decoder. An answer ends at "</s>". A model that [Open] returns owns its weights
// until it is closed; requests and responses belong to the caller.
package t5

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/tokenizer"
)

// Family describes the family for a registry.
func Family() adapters.Family {
	return adapters.Family{
		Name: "t5", Kind: adapters.KindLanguage, OpenLanguage: Open, ModelTypes: []string{"t5"},
		Architecture: adapters.EncoderDecoder, ActivationKey: "dense_act_fn",
		Tokenizer: func(string) adapters.TokenizerDefaults {
			return adapters.TokenizerDefaults{Class: "T5Tokenizer", SentencePiece: "spiece.model"}
		},
		TensorName: lm.TensorName("", unusedBias),
	}
}

// Open loads a T5 checkpoint folder: config.json, weights, and tokenizer.json or
// spiece.model.
func Open(ctx context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
	folder, err := weights.OpenPart(req.Checkpoint, adapters.KindLanguage)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	c, err := readConfig(folder)
	if err != nil {
		return nil, err
	}
	if err := c.activate(req.Activation); err != nil {
		return nil, err
	}
	defaults, err := c.generationDefaults(folder)
	if err != nil {
		return nil, err
	}
	tok, err := tokenizer.Open(ctx, folder.Dir(), Family().TokenizerFor(folder.ModelType()))
	if err != nil {
		return nil, err
	}
	return lm.Load(ctx, req, folder, lm.Definition{
		Family:        Family(),
		Width:         c.DModel,
		Vocabulary:    c.VocabSize,
		EndOfAnswer:   tok.Token(c.EOSTokenID[0]),
		SpecialTokens: lm.SpecialTokens{BOS: lm.None, End: c.EOSTokenID, Start: c.start()},
		Defaults:      defaults,
		Tokenizer:     tok,
		Network:       network{c},
		Embedding:     c.tables.encoder + ".weight",
		Tensors:       c.tensorSpecs(),
		Unused:        c.unused(),
	})
}
