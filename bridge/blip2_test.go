package bridge

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/weights"
)

// transformed returns a folder that transformers wrote.
func transformed(name string) string {
	return filepath.Join("testdata", "golden-"+name, "checkpoint")
}

func TestInfoOfBLIP2(t *testing.T) {
	dir, err := filepath.Abs(transformed("t5"))
	if err != nil {
		t.Fatal(err)
	}
	info, config, err := ReadInfo(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Stage != 2 || info.Vision.Path != dir || info.Vision.Layer != -1 || info.Language.Path != dir || info.Language.Family != "t5" || info.Templates.TargetPrefix != "" {
		t.Errorf("info %+v, language %+v, templates %+v", info, info.Language, info.Templates)
	}
	if config.Queries != 4 || config.CrossEvery != 3 || config.Layers != 4 || config.Activation != "relu" || config.LanguageWidth != 24 || config.EncoderWidth != 18 || config.VisionEps != 1e-6 {
		t.Errorf("config %+v", config)
	}
	if info, config, err = ReadInfo(transformed("retrieval")); err != nil || info.Stage != 1 || info.Language != nil || config.Vocabulary != 98 || config.ProjectionDim != 12 {
		t.Errorf("retrieval: %+v, %+v, %v", info, config, err)
	}
}

// The weights of the language model tell that it has an encoder, even if config.json does
// not.
func TestTemplatesOfAnEncoderDecoder(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(transformed("t5"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	silent := strings.ReplaceAll(string(config), `"is_encoder_decoder": true`, `"is_encoder_decoder": false`)
	if silent == string(config) {
		t.Fatal("config.json does not say that the model is an encoder-decoder model")
	}
	if err := os.WriteFile(path, []byte(silent), 0o644); err != nil {
		t.Fatal(err)
	}
	info, _, err := ReadInfo(dir)
	if err != nil || info.Templates.Question != "Question: {} Short answer:" || info.Templates.TargetPrefix != "" {
		t.Errorf("templates %+v, %v", info.Templates, err)
	}
}

// A folder of transformers that is no BLIP-2 says what it is.
func TestInfoOfOtherFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type": "instructblip"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err := ReadInfo(dir)
	if want := `is of model_type "instructblip", not "blip-2"`; err == nil || adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// changed copies a folder with another config.json and other weights.
func changed(t *testing.T, name string, config func(string) string, change func(map[string]*adapters.Tensor)) string {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join(transformed(name), "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config(string(data))), 0o644); err != nil {
		t.Fatal(err)
	}
	found, _, err := weights.ReadFile(filepath.Join(transformed(name), "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	change(found)
	if err := weights.Write(filepath.Join(dir, "model.safetensors"), found, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBLIP2Misfits(t *testing.T) {
	same := func(s string) string { return s }
	replace := func(from, to string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, from) {
				t.Fatalf("config.json has no %s", from)
			}
			return strings.Replace(s, from, to, 1)
		}
	}
	none := func(map[string]*adapters.Tensor) {}
	drop := func(name string) func(map[string]*adapters.Tensor) {
		return func(w map[string]*adapters.Tensor) { delete(w, name) }
	}
	for name, c := range map[string]struct {
		config func(string) string
		change func(map[string]*adapters.Tensor)
		kind   adapters.Kind
		want   string
	}{
		"neither class":     {same, drop("language_projection.weight"), adapters.Unsupported, "neither language_projection.weight nor itm_head.weight"},
		"missing":           {same, drop("query_tokens"), adapters.Corrupt, "query_tokens is missing, want [1, 5, 16]"},
		"bias missing":      {same, drop("qformer.encoder.layer.2.crossattention.output.dense.bias"), adapters.Corrupt, "crossattention.output.dense.bias is missing"},
		"surplus":           {same, func(w map[string]*adapters.Tensor) { w["qformer.extra"] = adapters.FromFloat32([]float32{1}, 1) }, adapters.Corrupt, "qformer.extra F32[1] is not part of the model"},
		"other shape":       {replace(`"num_query_tokens": 5`, `"num_query_tokens": 6`), none, adapters.Corrupt, "query_tokens is F32[1, 5, 16], want [1, 6, 16]"},
		"cross-attention":   {replace(`"cross_attention_frequency": 2`, `"cross_attention_frequency": 1`), none, adapters.Corrupt, "qformer.encoder.layer.1.crossattention"},
		"activation":        {replace(`"hidden_act": "gelu"`, `"hidden_act": "mish"`), none, adapters.Corrupt, `activation is "mish"`},
		"relative position": {replace(`"cross_attention_frequency": 2`, `"position_embedding_type": "relative_key"`), none, adapters.Unsupported, "relative_key"},
	} {
		b, err := Load(context.Background(), backends.ForTest(t), changed(t, "opt", c.config, c.change))
		if err == nil {
			b.Close()
		}
		if adapters.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s with %q", name, err, c.kind, c.want)
		}
	}
}

// Keys that transformers leaves out are its defaults; a text side that nothing
// uses and a buffer of old files are no misfit.
func TestBLIP2Leniency(t *testing.T) {
	dir := changed(t, "opt", func(s string) string {
		s = strings.Replace(s, `"cross_attention_frequency": 2,`, "", 1)
		return strings.Replace(s, `"model_type": "opt",`, "", 1)
	}, func(w map[string]*adapters.Tensor) {
		for _, name := range []string{"embeddings.position_ids", "qformer.encoder.layer.0.intermediate.dense.weight", "qformer.encoder.layer.0.output.LayerNorm.bias"} {
			w[name] = adapters.FromFloat32([]float32{1}, 1)
		}
	})
	b, err := Load(context.Background(), backends.ForTest(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Config().CrossEvery != 2 || b.Info.Language.Family != "opt" || !strings.HasPrefix(b.Info.Vision.Digest, "sha256:") {
		t.Errorf("config %+v, info %+v", b.Config(), b.Info)
	}
}

// No text is too long or too odd for the Q-Former: it is cut, and "<image>" is text.
func TestTextsOfTheQFormer(t *testing.T) {
	b, err := Load(context.Background(), backends.ForTest(t), transformed("retrieval"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, text := range []string{"an <image>", "a [SEP] b [CLS] [DEC]", strings.Repeat("日本", 5000)} {
		read, err := b.Tokenize([]string{text}, MaxTextTokens)
		if err != nil {
			t.Fatal(err)
		}
		ids := read.ids
		unknown, _ := b.tokenizer.tok.IDOf("[UNK]")
		plain := slices.DeleteFunc(slices.Clone(ids.Int32s()), func(id int32) bool { return id == b.tokenizer.pad || id == unknown })
		if n := len(plain); plain[0] != b.tokenizer.cls || plain[n-1] != b.tokenizer.sep ||
			slices.ContainsFunc(plain[1:n-1], func(id int32) bool { return slices.Contains(b.tokenizer.tok.SpecialIDs(), id) }) {
			t.Errorf("%.30q is read as %v", text, plain)
		}
		if n := len(ids.Int32s()); n > MaxTextTokens {
			t.Errorf("%.30q takes %d tokens", text, n)
		}
		if _, err := b.EmbedTexts(context.Background(), []string{text}); err != nil {
			t.Error(err)
		}
	}
	b.config.MaxPositions = 5
	if got, err := b.Tokenize([]string{"a dog and a cat", "a cat"}, MaxTextTokens); err != nil || got.ids.Shape[1] != 5 {
		t.Errorf("a long text: %v, %v", got, err)
	}
	if got, err := b.Tokenize([]string{"a cat"}, MaxTextTokens); err != nil || got.ids.Shape[1] != 4 {
		t.Errorf("a short text: %v, %v", got, err)
	}
}
