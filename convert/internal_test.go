package convert

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/internal/torchfile"
	"github.com/modular-bridging/bridge/internal/weights"
)

// The names that transformers' classes with a head have in memory.
func TestTensorNames(t *testing.T) {
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
		{"mistral", "model.norm.weight", "model.norm.weight"},
	} {
		family, ok := adapters.FamilyOf(builtin.Families(), c.model)
		if !ok {
			t.Errorf("no family reads %s", c.model)
			continue
		}
		if got := family.TensorName(c.name); got != c.want {
			t.Errorf("%s: %s is named %q, want %q", c.model, c.name, got, c.want)
		}
	}
}

// A head that is not the word embeddings would be lost.
func TestTiedWeightsOfLAVISAreCompared(t *testing.T) {
	view := func(x byte) weights.View {
		return weights.View{DType: safetensors.F32, Shape: []int{1}, Data: []byte{0, 0, x, 0}}
	}
	for _, head := range []byte{1, 2} {
		l := newLAVIS("", &torchfile.File{Tensors: map[string]weights.View{
			"query_tokens": view(0), "Qformer.bert.embeddings.word_embeddings.weight": view(1), "Qformer.cls.predictions.decoder.weight": view(head),
		}})
		err := l.classify()
		if head == 1 && err != nil || head == 2 && (err == nil || !strings.Contains(err.Error(), "Qformer.cls.predictions.decoder.weight differs")) {
			t.Errorf("head %d beside word embeddings 1: %v", head, err)
		}
	}
}

// config.json may leave vocab_size out; the weights say how many embeddings there
// are, in every family and in a whole BLIP-2.
func TestEmbeddings(t *testing.T) {
	for path, want := range map[string]int{
		"adapters/opt/testdata/golden-post-norm":   336,
		"adapters/qwen/testdata/golden-qwen2":      325,
		"adapters/gpt2/testdata/golden-released":   320,
		"adapters/gemma2/testdata/golden-turned":   344,
		"adapters/t5/testdata/golden-original":     70,
		"bridge/testdata/golden-opt":               333,
		"bridge/testdata/golden-t5":                65,
		"adapters/siglip/testdata/golden-alone":    0,
		"adapters/llama/testdata/golden-llama-3":   324,
		"adapters/qwen/testdata/golden-qwen3-bias": 325,
	} {
		f, err := weights.Open(filepath.Join("..", path, "checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		if got := embeddings(f); got != want {
			t.Errorf("%s: %d embeddings, want %d", path, got, want)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
