package t5_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/t5"
)

const flan = "testdata/golden-flan/checkpoint"

func TestContract(t *testing.T) { lmtest.Contract(t, t5.Open, flan) }

func TestSpec(t *testing.T) {
	spec := lmtest.Open(t, t5.Open, flan).Spec()
	if spec.Width != 24 || spec.ContextTokens != 0 || spec.EndOfAnswer != "</s>" || spec.Family != "t5" ||
		spec.Architecture != adapters.EncoderDecoder || spec.MemoryBytes != 4*spec.Parameters || spec.TokenNorm <= 0 {
		t.Errorf("spec %+v", spec)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	lmtest.Refuses(t, t5.Open, flan,
		lmtest.Edit{Key: "dense_act_fn", Value: "mish", Kind: adapters.Unsupported, Message: "gelu_new"},
		lmtest.Edit{Key: "feed_forward_proj", Value: "relu", Kind: adapters.Corrupt, Message: "wi.weight is missing"},
		lmtest.Edit{Key: "num_decoder_layers", Value: 1, Kind: adapters.Corrupt, Message: "decoder.block.1"},
		lmtest.Edit{Key: "d_kv", Value: 11, Kind: adapters.Corrupt, Message: "want [22, 24]"},
		lmtest.Edit{Key: "eos_token_id", Value: 100000, Kind: adapters.Corrupt, Message: "vocab_size"},
		lmtest.Edit{Key: "eos_token_id", Value: "end", Kind: adapters.Corrupt, Message: "eos_token_id"},
	)
}
