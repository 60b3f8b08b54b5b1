package lm

import "testing"

func TestTensorName(t *testing.T) {
	withPrefix := TensorName("transformer.", ".attn.bias", ".attn.masked_bias")
	for name, want := range map[string]string{
		"h.0.attn.c_attn.bias":             "transformer.h.0.attn.c_attn.bias",
		"transformer.wte.weight":           "transformer.wte.weight",
		"lm_head.weight":                   "lm_head.weight",
		"h.0.attn.bias":                    "",
		"transformer.h.0.attn.masked_bias": "",
	} {
		if got := withPrefix(name); got != want {
			t.Errorf("%s is renamed to %q, want %q", name, got, want)
		}
	}
	if got := TensorName("")("shared.weight"); got != "shared.weight" {
		t.Errorf("without a prefix shared.weight is renamed to %q", got)
	}
}
