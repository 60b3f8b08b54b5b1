package didyoumean

import "testing"

func TestName(t *testing.T) {
	candidates := []string{"lr", "weight_decay", "warmup", "tiny-opt", "tiny-vit", "opt-2.7b"}
	for got, want := range map[string]string{
		"weightdecay": "weight_decay",
		"warm_up":     "warmup",
		"Tiny-Opt":    "tiny-opt",
		"tiny-op":     "tiny-opt",
		"opt":         "opt-2.7b",
		"lrs":         "lr",
		"elephant":    "",
		"xy":          "",
		"":            "",
	} {
		if name := Name(got, candidates); name != want {
			t.Errorf("Name(%q) = %q, want %q", got, name, want)
		}
	}
	if h := Hint("warmpu", candidates); h != "; did you mean warmup?" {
		t.Errorf("hint %q", h)
	}
}

func TestRelative(t *testing.T) {
	types := []string{"opt", "t5", "llama", "mistral", "qwen2", "qwen3", "gpt2", "gemma2"}
	for got, want := range map[string]string{
		"gemma3_text": "; the nearest that is supported is gemma2",
		"qwen2_moe":   "; the nearest that is supported is qwen2",
		"qwen3_moe":   "; the nearest that is supported is qwen3",
		"gpt_neox":    "; the nearest that is supported is gpt2",
		"mixtral":     "; did you mean mistral?",
		"phi3":        "",
		"":            "",
	} {
		if hint := Relative(got, types); hint != want {
			t.Errorf("%q: %q, want %q", got, hint, want)
		}
	}
}
