package convert

import "testing"

// The names that transformers' classes with a head have in memory.
func TestNameToday(t *testing.T) {
	for _, c := range []struct{ model, name, want string }{
		{"opt", "decoder.layers.0.fc1.bias", "model.decoder.layers.0.fc1.bias"},
		{"opt", "model.decoder.layers.0.fc1.bias", "model.decoder.layers.0.fc1.bias"},
		{"opt", "lm_head.weight", "lm_head.weight"},
		{"gpt2", "h.0.attn.c_attn.bias", "transformer.h.0.attn.c_attn.bias"},
		{"gpt2", "transformer.wte.weight", "transformer.wte.weight"},
		{"gpt2", "h.0.attn.bias", ""},
		{"gpt2", "transformer.h.0.attn.masked_bias", ""},
		{"t5", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"},
		{"t5", "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", ""},
		{"t5", "shared.weight", "shared.weight"},
		{"llama", "layers.0.self_attn.rotary_emb.inv_freq", ""},
		{"qwen3", "layers.0.self_attn.q_norm.weight", "model.layers.0.self_attn.q_norm.weight"},
		{"gemma2", "lm_head.weight", "lm_head.weight"},
		{"of a plugin", "a.weight", "a.weight"},
	} {
		if got := nameToday(c.model, c.name); got != c.want {
			t.Errorf("%s: %s is now %q, want %q", c.model, c.name, got, c.want)
		}
	}
}
