package gated

import (
	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/adapters/internal/lm/decoder"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Config holds the keys of config.json that all families of this form share. A family
// sets its defaults before it decodes. A pointer that is nil afterwards was null in the
// file, or has no default in the family.
type Config struct {
	VocabSize             int         `json:"vocab_size"`
	HiddenSize            int         `json:"hidden_size"`
	IntermediateSize      int         `json:"intermediate_size"`
	NumHiddenLayers       int         `json:"num_hidden_layers"`
	NumAttentionHeads     int         `json:"num_attention_heads"`
	NumKeyValueHeads      *int        `json:"num_key_value_heads"` // nil: as many as query heads
	HeadDim               *int        `json:"head_dim"`            // nil: hidden_size / num_attention_heads
	HiddenAct             string      `json:"hidden_act"`
	MaxPositionEmbeddings int         `json:"max_position_embeddings"`
	RMSNormEps            float64     `json:"rms_norm_eps"`
	TieWordEmbeddings     bool        `json:"tie_word_embeddings"`
	EOSTokenID            lm.TokenIDs `json:"eos_token_id"`
	RoPE
}

// Defaults returns the defaults that the config classes share.
func Defaults() Config { return Config{HiddenAct: "silu", RMSNormEps: 1e-6} }

func (c Config) headDim() int {
	if c.HeadDim != nil {
		return *c.HeadDim
	}
	return c.HiddenSize / max(1, c.NumAttentionHeads)
}

func (c Config) kvHeads() int {
	if c.NumKeyValueHeads != nil {
		return *c.NumKeyValueHeads
	}
	return c.NumAttentionHeads
}

// check returns an error for a configuration that the graphs cannot compute.
func (c Config) check(folder *weights.Folder) error {
	if err := decoder.CheckSizes(folder,
		decoder.Size{Key: "vocab_size", Value: c.VocabSize}, decoder.Size{Key: "hidden_size", Value: c.HiddenSize},
		decoder.Size{Key: "intermediate_size", Value: c.IntermediateSize},
		decoder.Size{Key: "num_hidden_layers", Value: c.NumHiddenLayers},
		decoder.Size{Key: "num_attention_heads", Value: c.NumAttentionHeads},
		decoder.Size{Key: "num_key_value_heads", Value: c.kvHeads()}, decoder.Size{Key: "head_dim", Value: c.headDim()},
		decoder.Size{Key: "max_position_embeddings", Value: c.MaxPositionEmbeddings},
	); err != nil {
		return err
	}
	if c.NumAttentionHeads%c.kvHeads() != 0 {
		return decoder.Unsupported(folder, "num_attention_heads %d is not a multiple of num_key_value_heads %d", c.NumAttentionHeads, c.kvHeads())
	}
	if c.headDim()%2 != 0 {
		return decoder.Unsupported(folder, "head_dim %d is odd, rotary positions turn pairs", c.headDim())
	}
	return nil
}
