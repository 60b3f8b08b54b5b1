package llama_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/llama"
)

const (
	llama2  = "testdata/golden-llama-2/checkpoint"
	llama3  = "testdata/golden-llama-3/checkpoint"
	linear  = "testdata/golden-linear/checkpoint"
	mistral = "testdata/golden-mistral/checkpoint"
)

func TestContract(t *testing.T) {
	for _, dir := range []string{llama3, mistral} {
		t.Run(dir, func(t *testing.T) { lmtest.Contract(t, llama.Open, dir) })
	}
}

func TestSpec(t *testing.T) {
	spec := lmtest.Open(t, llama.Open, llama3).Spec()
	if spec.Width != 24 || spec.ContextTokens != 160 || spec.EndOfAnswer != "<|end_of_text|>" || spec.Family != "llama" ||
		spec.Architecture != adapters.DecoderOnly || spec.MemoryBytes != 4*spec.Parameters || spec.TokenNorm <= 0 {
		t.Errorf("spec %+v", spec)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	rope := func(kind string, more map[string]any) map[string]any {
		p := map[string]any{"rope_type": kind}
		for key, value := range more {
			p[key] = value
		}
		return p
	}
	lmtest.Refuses(t, llama.Open, linear,
		lmtest.Edit{Key: "model_type", Value: "gemma", Kind: adapters.Unsupported, Message: "want llama or mistral"},
		lmtest.Edit{Key: "model_type", Value: "lama", Kind: adapters.Unsupported, Message: "did you mean llama?"},
		lmtest.Edit{Key: "hidden_act", Value: "mish", Kind: adapters.Unsupported, Message: "gelu_new"},
		lmtest.Edit{Key: "rope_scaling", Value: rope("yarn", map[string]any{"factor": 4}), Kind: adapters.Unsupported, Message: `rope type "yarn", want one of default, linear, llama3`},
		lmtest.Edit{Key: "rope_scaling", Value: map[string]any{"type": "dynamic", "factor": 2}, Kind: adapters.Unsupported, Message: `"dynamic"`},
		lmtest.Edit{Key: "rope_scaling", Value: rope("longrope", nil), Kind: adapters.Unsupported, Message: `"longrope"`},
		lmtest.Edit{Key: "rope_scaling", Value: rope("linear", nil), Kind: adapters.Corrupt, Message: "factor"},
		lmtest.Edit{Key: "rope_scaling", Value: rope("llama3", map[string]any{"factor": 8, "low_freq_factor": 1}), Kind: adapters.Corrupt, Message: "high_freq_factor"},
		lmtest.Edit{Key: "rope_scaling", Value: map[string]any{"full_attention": map[string]any{"rope_theta": 5}}, Kind: adapters.Unsupported, Message: "layer type"},
		lmtest.Edit{Key: "rope_theta", Value: -1, Kind: adapters.Corrupt, Message: "rope_theta"},
		lmtest.Edit{Key: "partial_rotary_factor", Value: 0.5, Kind: adapters.Unsupported, Message: "partial_rotary_factor"},
		lmtest.Edit{Key: "num_key_value_heads", Value: 3, Kind: adapters.Unsupported, Message: "num_key_value_heads"},
		lmtest.Edit{Key: "head_dim", Value: 5, Kind: adapters.Unsupported, Message: "odd"},
		lmtest.Edit{Key: "head_dim", Value: 12, Kind: adapters.Corrupt, Message: "want [48, 24]"},
		lmtest.Edit{Key: "num_hidden_layers", Value: 3, Kind: adapters.Corrupt, Message: "model.layers.2.self_attn.q_proj.weight is missing"},
		lmtest.Edit{Key: "attention_bias", Value: false, Kind: adapters.Corrupt, Message: "self_attn.k_proj.bias"},
		lmtest.Edit{Key: "mlp_bias", Kind: adapters.Corrupt, Message: "mlp.down_proj.bias"},
		lmtest.Edit{Key: "vocab_size", Kind: adapters.Corrupt, Message: "want [32000, 24]"},
		lmtest.Edit{Key: "hidden_size", Value: 0, Kind: adapters.Corrupt, Message: "hidden_size"},
		lmtest.Edit{Key: "eos_token_id", Value: []int{2, 5000}, Kind: adapters.Corrupt, Message: "eos_token_id 5000"},
		lmtest.Edit{Key: "eos_token_id", Value: []int{}, Kind: adapters.Corrupt, Message: "no eos_token_id"},
		lmtest.Edit{Key: "is_causal", Value: false, Kind: adapters.Unsupported, Message: "is_causal"},
		lmtest.Edit{Key: "quantization_config", Value: map[string]any{"quant_method": "gptq"}, Kind: adapters.Unsupported, Message: "gptq"},
		lmtest.Edit{Key: "per_layer_config", Value: map[string]any{"0": map[string]any{"head_dim": 4}}, Kind: adapters.Unsupported, Message: "per_layer_config"},
	)
	lmtest.Refuses(t, llama.Open, mistral,
		lmtest.Edit{Key: "sliding_window", Value: 0, Kind: adapters.Corrupt, Message: "sliding_window"},
		lmtest.Edit{Key: "intermediate_size", Kind: adapters.Corrupt, Message: "want [14336, 24]"},
	)
	lmtest.Refuses(t, llama.Open, llama2,
		lmtest.Edit{Key: "num_key_value_heads", Value: 1, Kind: adapters.Corrupt, Message: "k_proj.weight"},
	)
}
