package gemma2_test

import (
	"math"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/gemma2"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/internal/weights"
)

const (
	alternating = "testdata/golden-alternating/checkpoint"
	turned      = "testdata/golden-turned/checkpoint"
)

func TestContract(t *testing.T) { lmtest.Contract(t, gemma2.Open, alternating) }

func TestSpec(t *testing.T) {
	spec := lmtest.Open(t, gemma2.Open, turned).Spec()
	if spec.Width != 24 || spec.ContextTokens != 160 || spec.EndOfAnswer != "<eos>" || spec.Family != "gemma2" ||
		spec.Architecture != adapters.DecoderOnly || spec.MemoryBytes != 4*spec.Parameters || spec.TokenNorm <= 0 {
		t.Errorf("spec %+v", spec)
	}
}

// Soft prompts are not scaled, so the embeddings that they are compared with
// must be.
func TestEmbeddingsAreScaled(t *testing.T) {
	folder, err := weights.Open(turned)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	view, _ := folder.Tensor("model.embed_tokens.weight")
	table, err := view.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	model := lmtest.Open(t, gemma2.Open, turned)
	embedder, _ := adapters.AsTokenEmbedder(model)
	res, err := embedder.EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{Texts: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	row := res.Embeddings.Row(0).Float32s()
	scaled := func(at int) bool {
		for i, x := range row {
			if math.Abs(float64(x)-float64(table[at+i])*math.Sqrt(24)) > 1e-5 {
				return false
			}
		}
		return true
	}
	for at := 0; at < len(table); at += len(row) {
		if scaled(at) {
			return
		}
	}
	t.Errorf("%v is no row of the embeddings, scaled by √24", row)
}

func TestConfigsThatAreRefused(t *testing.T) {
	lmtest.Refuses(t, gemma2.Open, turned,
		lmtest.Edit{Key: "model_type", Value: "gemma", Kind: adapters.Unsupported, Message: "the nearest that is supported is gemma2"},
		lmtest.Edit{Key: "hidden_activation", Value: "mish", Kind: adapters.Unsupported, Message: "gelu_pytorch_tanh"},
		lmtest.Edit{Key: "use_bidirectional_attention", Value: true, Kind: adapters.Unsupported, Message: "use_bidirectional_attention"},
		lmtest.Edit{Key: "query_pre_attn_scalar", Value: 0, Kind: adapters.Corrupt, Message: "query_pre_attn_scalar"},
		lmtest.Edit{Key: "final_logit_softcapping", Value: -1, Kind: adapters.Corrupt, Message: "final_logit_softcapping"},
		lmtest.Edit{Key: "sliding_window", Value: 0, Kind: adapters.Corrupt, Message: "sliding_window"},
		lmtest.Edit{Key: "layer_types", Value: []string{"full_attention", "chunked_attention"}, Kind: adapters.Unsupported, Message: "chunked_attention"},
		lmtest.Edit{Key: "attention_bias", Kind: adapters.Corrupt, Message: "q_proj.bias"},
		lmtest.Edit{Key: "head_dim", Kind: adapters.Corrupt, Message: "want [768, 24]"},
		lmtest.Edit{Key: "num_hidden_layers", Value: 3, Kind: adapters.Corrupt, Message: "layer_types names 2 layers"},
		lmtest.Edit{Key: "rope_parameters", Value: map[string]any{"rope_type": "dynamic", "factor": 2.0}, Kind: adapters.Unsupported, Message: `"dynamic"`},
	)
}
