package weights_test

import (
	"testing"

	"github.com/modular-bridging/bridge/internal/weights"
)

func TestUnusedNames(t *testing.T) {
	list := weights.UnusedList{{Name: "h.N.attn.bias"}, {Name: "text_model.*"}, {Name: "logit_scale"}}
	for name, want := range map[string]bool{
		"h.0.attn.bias": true, "h.11.attn.bias": true, "h.x.attn.bias": false, "h.0.attnxbias": false, "deep.h.0.attn.bias": false,
		"text_model.embeddings.weight": true, "text_models.weight": false, "logit_scale": true, "logit_scale.weight": false,
	} {
		if got := list.Has(name); got != want {
			t.Errorf("Has(%q) = %v, want %v", name, got, want)
		}
	}
}
