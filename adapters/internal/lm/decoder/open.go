package decoder

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/tokenizer"
)

// Definition describes a model, as a family reads it from config.json.
type Definition struct {
	Width          int // of the token embeddings
	Vocabulary     int // V
	Context        int // longest sequence
	End            lm.TokenIDs
	Network        lm.Network
	Embedding      string  // checkpoint name of the token embeddings
	EmbeddingScale float64 // the factor by which the network multiplies them; 0 means 1
	Tensors        []weights.TensorSpec
	Unused         weights.UnusedList // tensors that the file may hold and the model does not read
}

// Open opens a checkpoint folder whose model_type is one of the family's. An answer ends
// at the eos_token_id of generation_config.json or of config.json. The tokenizer decides which token stands before a text.
func Open(ctx context.Context, req *adapters.LoadRequest, family adapters.Family,
	read func(*weights.Folder) (Definition, error)) (adapters.LanguageModel, error) {
	folder, err := weights.OpenPart(req.Checkpoint, adapters.KindLanguage)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	if err := checkType(folder, family.ModelTypes); err != nil {
		return nil, err
	}
	m, err := read(folder)
	if err != nil {
		return nil, err
	}
	defaults, err := lm.ReadGenerationDefaults(folder)
	if err != nil {
		return nil, err
	}
	if m.End, err = end(folder, m, defaults); err != nil {
		return nil, err
	}
	tok, err := tokenizer.Open(ctx, folder.Dir(), family.TokenizerFor(folder.ModelType()))
	if err != nil {
		return nil, err
	}
	bos, err := BOS(tok, folder)
	if err != nil {
		tok.Close()
		return nil, err
	}
	return lm.Load(ctx, req, folder, lm.Definition{
		Family: family, Width: m.Width, Vocabulary: m.Vocabulary, Context: m.Context,
		EndOfAnswer:   tok.Token(m.End[0]),
		SpecialTokens: lm.SpecialTokens{BOS: bos, End: m.End},
		Defaults:      defaults,
		Tokenizer:     tok, Network: m.Network, Embedding: m.Embedding, EmbeddingScale: m.EmbeddingScale,
		Tensors: m.Tensors, Unused: m.Unused,
	})
}

// checkType returns an error for a folder of another family, and for configurations that
// no family of this form computes.
func checkType(folder *weights.Folder, types []string) error {
	if got := folder.ModelType(); !slices.Contains(types, got) {
		return adapters.Errorf(adapters.Unsupported, "%s: %s is %q, want %s%s",
			folder.Path("config.json"), folder.ConfigKey("model_type"), got, strings.Join(types, " or "), didyoumean.Relative(got, types)).
			WithRemedy("name the family that reads this model_type")
	}
	var c struct {
		IsCausal       *bool          `json:"is_causal"`
		PerLayer       map[string]any `json:"per_layer_config"`
		CrossAttention bool           `json:"add_cross_attention"`
		Quantization   *struct {
			Method string `json:"quant_method"`
		} `json:"quantization_config"`
	}
	if err := folder.DecodeConfig(&c); err != nil {
		return err
	}
	switch {
	case c.IsCausal != nil && !*c.IsCausal:
		return Unsupported(folder, "is_causal is false, only causal attention is supported")
	case len(c.PerLayer) > 0:
		return Unsupported(folder, "per_layer_config makes blocks differ, only equal ones are supported")
	case c.CrossAttention:
		return Unsupported(folder, "add_cross_attention is true, only decoders without an encoder are supported")
	case c.Quantization != nil:
		return Unsupported(folder, "quantization_config has quant_method %q, only float32, float16 and bfloat16 weights are read", c.Quantization.Method)
	}
	return nil
}

// end returns the ids that end an answer.
func end(folder *weights.Folder, m Definition, defaults lm.GenerationDefaults) (lm.TokenIDs, error) {
	ids := defaults.Ends(m.End)
	if len(ids) == 0 {
		return nil, adapters.Errorf(adapters.Corrupt, "%s has no eos_token_id, the token that ends an answer, and generation_config.json has none either", folder.Path("config.json")).
			WithRemedy("set eos_token_id in config.json")
	}
	for _, id := range ids {
		if id < 0 || int(id) >= m.Vocabulary {
			return nil, adapters.Errorf(adapters.Corrupt, "%s or generation_config.json: eos_token_id %d, want one below vocab_size %d", folder.Path("config.json"), id, m.Vocabulary)
		}
	}
	return ids, nil
}

// BOS returns the token before a text, or lm.None if there is none.
func BOS(tok *tokenizer.Tokenizer, folder *weights.Folder) (int32, error) {
	id, ok, err := tok.BOS()
	if err != nil {
		return 0, adapters.Errorf(adapters.KindOf(err), "%s: %w", filepath.Base(folder.Dir()), err)
	}
	if !ok {
		return lm.None, nil
	}
	return id, nil
}
