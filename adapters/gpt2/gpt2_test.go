package gpt2_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/gpt2"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
)

const (
	released = "testdata/golden-released/checkpoint"
	turned   = "testdata/golden-turned/checkpoint"
)

func TestContract(t *testing.T) { lmtest.Contract(t, gpt2.Open, released) }

func TestSpec(t *testing.T) {
	spec := lmtest.Open(t, gpt2.Open, turned).Spec()
	if spec.Width != 20 || spec.ContextTokens != 160 || spec.EndOfAnswer != "<|endoftext|>" || spec.Family != "gpt2" ||
		spec.Architecture != adapters.DecoderOnly || spec.MemoryBytes != 4*spec.Parameters || spec.TokenNorm <= 0 {
		t.Errorf("spec %+v", spec)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	lmtest.Refuses(t, gpt2.Open, turned,
		lmtest.Edit{Key: "model_type", Value: "gpt_neo", Kind: adapters.Unsupported, Message: "want gpt2"},
		lmtest.Edit{Key: "activation_function", Value: "mish", Kind: adapters.Unsupported, Message: "gelu_new"},
		lmtest.Edit{Key: "add_cross_attention", Value: true, Kind: adapters.Unsupported, Message: "add_cross_attention"},
		lmtest.Edit{Key: "n_head", Value: 3, Kind: adapters.Unsupported, Message: "n_head"},
		lmtest.Edit{Key: "n_inner", Kind: adapters.Corrupt, Message: "want [20, 80]"},
		lmtest.Edit{Key: "n_layer", Value: 4, Kind: adapters.Corrupt, Message: "transformer.h.3.ln_1.weight is missing"},
		lmtest.Edit{Key: "n_layer", Value: 2, Kind: adapters.Corrupt, Message: "transformer.h.2.attn.c_attn.bias"},
		lmtest.Edit{Key: "n_positions", Kind: adapters.Corrupt, Message: "want [1024, 20]"},
		lmtest.Edit{Key: "hidden_size", Value: 24, Kind: adapters.Corrupt, Message: "24]"},
		lmtest.Edit{Key: "eos_token_id", Kind: adapters.Corrupt, Message: "50256"},
	)
	lmtest.Refuses(t, gpt2.Open, released,
		lmtest.Edit{Key: "tie_word_embeddings", Value: false, Kind: adapters.Corrupt, Message: "lm_head.weight is missing"},
		lmtest.Edit{Key: "n_embd", Value: "wide", Kind: adapters.Corrupt, Message: "n_embd"},
	)
}
