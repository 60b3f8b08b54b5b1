package nearest

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
