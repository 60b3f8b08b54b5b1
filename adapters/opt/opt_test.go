package opt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/lm/lmtest"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/internal/weights"
)

const preNorm = "testdata/golden-pre-norm/checkpoint"

func TestContract(t *testing.T) { lmtest.Contract(t, opt.Open, preNorm) }

func TestSpec(t *testing.T) {
	spec := lmtest.Open(t, opt.Open, "testdata/golden-post-norm/checkpoint").Spec()
	if spec.Width != 16 || spec.ContextTokens != 72 || spec.EndOfAnswer != "\n" || spec.Family != "opt" ||
		spec.Architecture != adapters.DecoderOnly || spec.MemoryBytes != 4*spec.Parameters || spec.TokenNorm <= 0 ||
		len(spec.Digest) != len("sha256:")+64 || spec.DType != adapters.Float32 {
		t.Errorf("spec %+v", spec)
	}
}

func TestDefaultDType(t *testing.T) {
	lmtest.DefaultDType(t, opt.Open, "testdata/golden-post-norm/checkpoint")
}

func TestConfigsThatAreRefused(t *testing.T) {
	lmtest.Refuses(t, opt.Open, preNorm,
		lmtest.Edit{Key: "activation_function", Value: "mish", Kind: adapters.Unsupported, Message: "relu"},
		lmtest.Edit{Key: "enable_bias", Value: false, Kind: adapters.Unsupported, Message: "enable_bias"},
		lmtest.Edit{Key: "num_attention_heads", Value: 5, Kind: adapters.Unsupported, Message: "num_attention_heads"},
		lmtest.Edit{Key: "hidden_size", Value: "wide", Kind: adapters.Corrupt, Message: "hidden_size"},
		lmtest.Edit{Key: "vocab_size", Kind: adapters.Corrupt, Message: "vocab_size"},
		lmtest.Edit{Key: "num_hidden_layers", Value: 3, Kind: adapters.Corrupt, Message: "model.decoder.layers.2.self_attn.q_proj.weight is missing"},
		lmtest.Edit{Key: "do_layer_norm_before", Value: false, Kind: adapters.Corrupt, Message: "final_layer_norm"},
	)
}

func TestActivationOfTheRequestIsRefused(t *testing.T) {
	_, err := opt.Open(t.Context(), &adapters.LoadRequest{Checkpoint: preNorm, Backend: "go", Activation: "gelu"})
	if adapters.KindOf(err) != adapters.Unsupported {
		t.Errorf("got %v", err)
	}
}

// A tokenizer that adds no bos (Galactica's, for one) has none, whatever
// config.json's bos_token_id is.
func TestBOSIsTheTokenizers(t *testing.T) {
	dir := t.TempDir()
	lmtest.CopyFiles(t, preNorm, dir, "config.json", "model.safetensors", "vocab.json", "merges.txt")
	if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(`{"add_bos_token": false}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if with, without := targetTokens(t, preNorm), targetTokens(t, dir); with != without+1 {
		t.Errorf("%d target tokens, and %d with a bos", without, with)
	}
}

// targetTokens returns the number of target tokens after a soft prompt, bos included.
func targetTokens(t *testing.T, checkpoint string) int32 {
	t.Helper()
	res, err := lmtest.Open(t, opt.Open, checkpoint).Loss(t.Context(), &adapters.LossRequest{
		Prompts:  adapters.NewTensor(adapters.Float32, 1, 2, 24),
		Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: "a cat"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return res.Tokens[0]
}

// A whole BLIP-2 names neither the model_type of an OPT nor the class of its tokenizer: both
// are transformers' defaults.
func TestModelInAWholeBLIP2(t *testing.T) {
	dir := t.TempDir()
	lmtest.CopyFiles(t, preNorm, dir, "vocab.json", "merges.txt")
	config, err := os.ReadFile(filepath.Join(preNorm, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	text := map[string]any{}
	if err := json.Unmarshal(config, &text); err != nil {
		t.Fatal(err)
	}
	delete(text, "model_type")
	if config, err = json.Marshal(map[string]any{"model_type": weights.TypeBLIP2, "text_config": text}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		t.Fatal(err)
	}
	alone, _, err := weights.ReadFile(filepath.Join(preNorm, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	whole := map[string]*adapters.Tensor{}
	for name, tensor := range alone {
		whole[weights.LanguagePrefix+name] = tensor
	}
	if err := weights.Write(filepath.Join(dir, "model.safetensors"), whole, nil); err != nil {
		t.Fatal(err)
	}
	want, got := targetTokens(t, preNorm), targetTokens(t, dir)
	if got != want {
		t.Errorf("%d target tokens in a whole BLIP-2, %d alone", got, want)
	}
}
