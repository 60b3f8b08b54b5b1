package qwen_test

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/qwen"
)

const (
	qwen2   = "testdata/golden-qwen2/checkpoint"
	windows = "testdata/golden-qwen2-windows/checkpoint"
	qwen3   = "testdata/golden-qwen3/checkpoint"
	biased  = "testdata/golden-qwen3-bias/checkpoint"
)

func TestContract(t *testing.T) {
	for _, dir := range []string{qwen2, biased} {
		t.Run(dir, func(t *testing.T) { lmtest.Contract(t, qwen.Open, dir) })
	}
}

func TestSpec(t *testing.T) {
	spec := lmtest.Open(t, qwen.Open, qwen3).Spec()
	if spec.Width != 24 || spec.ContextTokens != 160 || spec.EndOfAnswer != "<|im_end|>" || spec.Family != "qwen" ||
		spec.Architecture != adapters.DecoderOnly || spec.MemoryBytes != 4*spec.Parameters || spec.TokenNorm <= 0 {
		t.Errorf("spec %+v", spec)
	}
}

// Without a bos nothing may precede the first token.
func TestNothingBeforeTheTargetIsRefused(t *testing.T) {
	model := lmtest.Open(t, qwen.Open, qwen2)
	examples := []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("")}, Target: "a cat"}}
	if _, err := model.Loss(t.Context(), &adapters.LossRequest{Examples: examples}); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("loss: %v, want an invalid request", err)
	}
	if _, err := model.Generate(t.Context(), &adapters.GenerateRequest{Examples: examples}, nil); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("generation: %v, want an invalid request", err)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	lmtest.Refuses(t, qwen.Open, windows,
		lmtest.Edit{Key: "model_type", Value: "qwen2_moe", Kind: adapters.Unsupported, Message: "want qwen2 or qwen3"},
		lmtest.Edit{Key: "model_type", Value: "qwen3", Kind: adapters.Corrupt, Message: "q_norm.weight is missing"},
		lmtest.Edit{Key: "sliding_window", Value: -3, Kind: adapters.Corrupt, Message: "sliding_window"},
		lmtest.Edit{Key: "layer_types", Value: []string{"full_attention"}, Kind: adapters.Corrupt, Message: "num_hidden_layers is 3"},
		lmtest.Edit{Key: "layer_types", Value: []string{"full_attention", "linear_attention", "full_attention"}, Kind: adapters.Unsupported, Message: "linear_attention"},
		lmtest.Edit{Key: "rope_scaling", Value: map[string]any{"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, Kind: adapters.Unsupported, Message: `"yarn"`},
		lmtest.Edit{Key: "hidden_act", Value: "mish", Kind: adapters.Unsupported, Message: "gelu_new"},
		lmtest.Edit{Key: "eos_token_id", Kind: adapters.Corrupt, Message: "no eos_token_id"},
		lmtest.Edit{Key: "num_key_value_heads", Kind: adapters.Unsupported, Message: "num_key_value_heads 32"},
	)
	lmtest.Refuses(t, qwen.Open, biased,
		lmtest.Edit{Key: "model_type", Value: "qwen2", Kind: adapters.Corrupt, Message: "o_proj.bias"},
		lmtest.Edit{Key: "use_sliding_window", Value: false, Kind: adapters.Corrupt, Message: "no sliding_window is in use"},
		lmtest.Edit{Key: "attention_bias", Kind: adapters.Corrupt, Message: "q_proj.bias"},
		lmtest.Edit{Key: "head_dim", Kind: adapters.Corrupt, Message: "want [512, 24]"},
		lmtest.Edit{Key: "num_hidden_layers", Value: 2, Kind: adapters.Corrupt, Message: "layer_types"},
	)
}
