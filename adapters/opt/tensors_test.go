package opt_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/internal/tensortest"
)

func TestEveryTensorIsAccountedFor(t *testing.T) {
	lmtest.Tensors(t, opt.Family(), "golden-pre-norm", "model.decoder.layers.N.self_attn.k_proj.bias")
}

// As in transformers, tie_word_embeddings false wants a head, and a head that the file holds
// counts, whatever config.json says.
func TestOwnHead(t *testing.T) {
	numbers := func(edit map[string]any, head, change bool) ([]float32, error) {
		dir := tensortest.Copy(t, preNorm)
		lmtest.EditJSON(t, filepath.Join(dir, "config.json"), edit)
		if head {
			tensortest.Add(t, dir, "lm_head.weight", "model.decoder.embed_tokens.weight")
		}
		if change {
			tensortest.Change(t, dir, "lm_head.weight")
		}
		return lmtest.Numbers(t, opt.Open, dir)
	}
	tied, untied := map[string]any{"tie_word_embeddings": true}, map[string]any{"tie_word_embeddings": false}
	if _, err := numbers(untied, false, false); err == nil || !strings.Contains(err.Error(), "lm_head.weight is missing") {
		t.Errorf("untied without a head: %v, want the missing head's name", err)
	}
	base, err := numbers(tied, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := numbers(untied, true, false); err != nil || tensortest.Differ(base, same) {
		t.Errorf("a head that repeats the embeddings: error %v, want the tied model's numbers", err)
	}
	own, err := numbers(untied, true, true)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := numbers(tied, true, true); err != nil || tensortest.Differ(own, found) || !tensortest.Differ(base, found) {
		t.Errorf("a head that differs where config.json says tied: error %v, want the untied model's numbers", err)
	}
}
