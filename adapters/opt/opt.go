// Package opt owns the OPT family (Zhang et al., arXiv 2205.01068) behind
// adapters.LanguageModel: its configuration, tensor names and network, decoder-only with
// pre- or post-norm, read from Hugging Face checkpoint folders. It must not know where soft
// prompts come from, nor how tokens are chosen.
//
// Soft prompts enter in place of token embeddings (before project_in if a model has it) and
// take positions as tokens do. An answer ends at "\n", as BLIP-2's does (LAVIS,
// blip2_opt.py). A model that [Open] returns owns its weights until it is closed; requests
// and responses belong to the caller.
package opt

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/tokenizer"
)

// endOfAnswer is the text whose one token ends an answer.
const endOfAnswer = "\n"

// Family describes the family for a registry.
func Family() adapters.Family {
	return adapters.Family{
		Name: "opt", Kind: adapters.KindLanguage, OpenLanguage: Open, ModelTypes: []string{"opt"},
		Architecture: adapters.DecoderOnly, EndOfAnswer: endOfAnswer, Tokenizer: tokenizerDefaults, TensorName: lm.TensorName(prefix),
	}
}

// tokenizerDefaults returns those of GPT-2's class, which OPT uses with its own special
// token.
func tokenizerDefaults(string) adapters.TokenizerDefaults {
	return adapters.TokenizerDefaults{Class: "GPT2Tokenizer", BOS: true, SpecialToken: "</s>"}
}

// Open loads an OPT checkpoint folder: config.json, weights, and tokenizer.json
// or vocab.json with merges.txt.
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
	defaults, err := lm.ReadGenerationDefaults(folder)
	if err != nil {
		return nil, err
	}
	tok, special, err := openTokenizer(ctx, folder)
	if err != nil {
		return nil, err
	}
	b := body{c, decoder.FindWeights(folder, prefix, embedTokens, isTrue(c.TieWordEmbeddings))}
	return lm.Load(ctx, req, folder, lm.Definition{
		Family:        Family(),
		Width:         c.WordEmbedProjDim,
		Vocabulary:    c.VocabSize,
		Context:       c.MaxPositionEmbeddings,
		EndOfAnswer:   endOfAnswer,
		SpecialTokens: special,
		Defaults:      defaults,
		Tokenizer:     tok,
		Network:       b.network(),
		Embedding:     b.EmbeddingName(),
		Tensors:       b.tensorSpecs(),
		Unused:        b.Unused(),
	})
}

// openTokenizer opens the tokenizer and finds its token of "\n".
func openTokenizer(ctx context.Context, folder *weights.Folder) (*tokenizer.Tokenizer, lm.SpecialTokens, error) {
	dir := folder.Dir()
	tok, err := tokenizer.Open(ctx, dir, Family().TokenizerFor(folder.ModelType()))
	if err != nil {
		return nil, lm.SpecialTokens{}, err
	}
	end, err := tok.Encode(endOfAnswer, false)
	if err == nil && len(end.IDs) != 1 {
		err = adapters.Errorf(adapters.Unsupported, "%s: the tokenizer makes %d tokens of %q, which ends an answer; want one", dir, len(end.IDs), endOfAnswer)
	}
	bos := lm.None
	if err == nil {
		bos, err = decoder.BOS(tok, folder)
	}
	if err != nil {
		tok.Close()
		return nil, lm.SpecialTokens{}, err
	}
	return tok, lm.SpecialTokens{BOS: bos, End: end.IDs}, nil
}
