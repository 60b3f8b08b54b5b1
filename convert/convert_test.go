package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/convert"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/weights"
)

// A folder that transformers wrote, as bridge/testdata has it.
func golden(name string) string {
	return filepath.Join("..", "bridge", "testdata", "golden-"+name, "checkpoint")
}

func openFolder(t *testing.T, dir string) *weights.Folder {
	t.Helper()
	f, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, c *convert.Checkpoint, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if err := c.Write(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func load(t *testing.T, dir string) *bridge.Bridge {
	t.Helper()
	b, err := bridge.Load(context.Background(), backends.ForTest(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// same compares the weights of two folders, bit by bit. differs names those that
// need not be the same.
func same(t *testing.T, got, want string, differs func(name string) bool) {
	t.Helper()
	g, w := openFolder(t, got), openFolder(t, want)
	if !slices.Equal(g.Names(), w.Names()) {
		t.Fatalf("weights %v, want %v", g.Names(), w.Names())
	}
	for _, name := range w.Names() {
		a, _ := g.Tensor(name)
		b, _ := w.Tensor(name)
		if differs != nil && differs(name) {
			continue
		}
		if a.Describe() != b.Describe() || !bytes.Equal(a.Data, b.Data) {
			t.Errorf("%s is %s and not the %s that it was", name, a.Describe(), b.Describe())
		}
	}
}

func TestFoldersOfTransformersStayAsTheyAre(t *testing.T) {
	for _, name := range []string{"opt", "t5", "retrieval"} {
		c, err := convert.FromFolder(context.Background(), golden(name), builtin.Families())
		dir := write(t, c, err)
		same(t, dir, golden(name), nil)
		for _, file := range []string{"tokenizer.json", "preprocessor_config.json"} {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Error(err)
			}
		}
	}
}

// A bridge of its own form, with the frozen sides that it names, is the folder
// that it came from again, and back once more.
func TestBridgesComeBack(t *testing.T) {
	for _, name := range []string{"opt", "retrieval"} {
		own := filepath.Join(t.TempDir(), "own")
		b := load(t, golden(name))
		b.Info.TrainedOn, b.Info.Steps = []string{"kit:train"}, 12
		if err := b.Save(own, adapters.Float32); err != nil {
			t.Fatal(err)
		}
		again := load(t, own)
		parts := convert.Parts{Families: builtin.Families(), Vision: again.Info.Vision.Path}
		if again.Info.Language != nil {
			parts.Language = again.Info.Language.Path
		}
		c, warnings, err := convert.Assemble(context.Background(), again, parts)
		if len(warnings) > 0 {
			t.Errorf("%s: %q", name, warnings)
		}
		dir := write(t, c, err)
		same(t, dir, golden(name), nil)
		back := load(t, dir)
		if back.Info.Steps != 12 || !slices.Equal(back.Info.TrainedOn, b.Info.TrainedOn) || back.Config() != b.Config() {
			t.Errorf("%s: came back as %+v, %+v, was %+v, %+v", name, back.Info, back.Config(), b.Info, b.Config())
		}
		config := decodeFile(t, filepath.Join(dir, "config.json"))
		if got, want := config["architectures"], decodeFile(t, filepath.Join(golden(name), "config.json"))["architectures"]; got.([]any)[0] != want.([]any)[0] {
			t.Errorf("%s: class %v, want %v", name, got, want)
		}
	}
}

// The family of a language model says which key of its configuration is the activation,
// and which token ends an answer.
func TestFamiliesCompleteTheConfiguration(t *testing.T) {
	for name, want := range map[string]map[string]any{
		"t5":  {"dense_act_fn": "gelu", "eos_token_id": 1.0},
		"opt": {"activation_function": "relu"},
	} {
		parts := convert.Parts{Families: builtin.Families(), Vision: golden(name), Language: golden(name), Activation: "gelu"}
		c, _, err := convert.Assemble(context.Background(), load(t, golden(name)), parts)
		text := decodeFile(t, filepath.Join(write(t, c, err), "config.json"))["text_config"].(map[string]any)
		for key, value := range want {
			if text[key] != value {
				t.Errorf("%s: %s is %v, want %v", name, key, text[key], value)
			}
		}
	}
}

func decodeFile(t *testing.T, path string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func openLAVIS(t *testing.T, name string) *convert.LAVIS {
	t.Helper()
	l, err := convert.OpenLAVIS(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// LAVIS's stage 2 with the encoder inside has all weights of transformers' folder of the same
// model, except the keys' bias, which LAVIS does not store.
func TestLAVISStage2(t *testing.T) {
	l := openLAVIS(t, "stage2.pth")
	if l.Stage() != 2 || !l.HasEncoder() || l.Projection() != "opt_proj" || l.LanguageType() != "opt" || l.Activation() != "" {
		t.Fatalf("stage %d, encoder %v, projection %q to %q, activation %q", l.Stage(), l.HasEncoder(), l.Projection(), l.LanguageType(), l.Activation())
	}
	config, err := l.Config(2)
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Bridge(backends.ForTest(t), config, nil, bridge.Info{Vision: bridge.Side{ID: "eva"}, Language: &bridge.Side{ID: "opt"}, Templates: &bridge.Templates{}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	encoder, err := l.Encoder(2)
	if err != nil {
		t.Fatal(err)
	}
	c, warnings, err := convert.Assemble(context.Background(), b, convert.Parts{Families: builtin.Families(), Encoder: encoder, Language: golden("opt")})
	if len(warnings) != 1 || !strings.Contains(warnings[0], "epsilon, 1e-06; this bridge's is 1e-05") {
		t.Errorf("warnings %q, want one of the norm's epsilon", warnings)
	}
	dir := write(t, c, err)
	bias := func(name string) bool { return strings.HasSuffix(name, "qkv.bias") }
	same(t, dir, golden("opt"), bias)
	checkBiases(t, dir, golden("opt"), bias)
	if got := load(t, dir).Config(); got.Layers != 3 || got.CrossEvery != 2 || got.Heads != 2 || got.VisionEps != 1e-5 {
		t.Errorf("came back as %+v", got)
	}
}

// checkBiases holds that queries and values have their bias, and keys none.
func checkBiases(t *testing.T, got, want string, bias func(string) bool) {
	t.Helper()
	g, w := openFolder(t, got), openFolder(t, want)
	seen := 0
	for _, name := range w.Names() {
		if !bias(name) {
			continue
		}
		a, _ := g.Tensor(name)
		b, _ := w.Tensor(name)
		third := len(b.Data) / 3
		expected := slices.Concat(b.Data[:third], make([]byte, third), b.Data[2*third:])
		if !bytes.Equal(a.Data, expected) {
			t.Errorf("%s is not [q, 0, v]", name)
		}
		seen++
	}
	if seen == 0 {
		t.Error("no bias was compared")
	}
}

// LAVIS's stage 1: a bridge with every weight of the file, and a folder of
// transformers that keeps what the class has no place for beside its weights.
func TestLAVISStage1(t *testing.T) {
	l := openLAVIS(t, "stage1.pth")
	if l.Stage() != 1 || l.HasEncoder() {
		t.Fatalf("stage %d, encoder %v", l.Stage(), l.HasEncoder())
	}
	config, err := l.Config(2)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := bridge.OpenTokenizer(context.Background(), filepath.Join(golden("retrieval"), "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Bridge(backends.ForTest(t), config, tok, bridge.Info{Vision: bridge.Side{ID: "eva"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, _, err := convert.Assemble(context.Background(), b, convert.Parts{Families: builtin.Families(), Vision: golden("retrieval")})
	dir := write(t, c, err)
	same(t, dir, golden("retrieval"), nil)
	was, is := readWeights(t, b), readWeights(t, load(t, dir))
	if !maps.EqualFunc(was, is, bytes.Equal) || len(was["temp"]) != 4 || len(was["cls.predictions.transform.dense.weight"]) == 0 {
		t.Error("the bridge came back with other weights")
	}
}

// readWeights returns a bridge's weights, by way of its folder.
func readWeights(t *testing.T, b *bridge.Bridge) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	if err := b.Save(dir, adapters.Float32); err != nil {
		t.Fatal(err)
	}
	tensors, _, err := weights.ReadFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for name, v := range tensors {
		out[name] = v.Data
	}
	return out
}

// eva_vit_g.pth: all blocks but the last, the norm after them an identity.
func TestLAVISEncoder(t *testing.T) {
	l := openLAVIS(t, "eva.pth")
	c, err := l.Encoder(2)
	dir := write(t, c, err)
	f := openFolder(t, dir)
	config := decodeFile(t, filepath.Join(dir, "config.json"))
	for key, want := range map[string]any{"model_type": "blip_2_vision_model", "hidden_size": 20.0, "num_hidden_layers": 2.0,
		"num_attention_heads": 2.0, "image_size": 16.0, "patch_size": 4.0, "intermediate_size": 28.0, "torch_dtype": "float16"} {
		if config[key] != want {
			t.Errorf("%s is %v, want %v", key, config[key], want)
		}
	}
	whole := openFolder(t, golden("opt"))
	for _, name := range f.Names() {
		got, _ := f.Tensor(name)
		values, err := got.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		v, ok := whole.Tensor("vision_model." + name)
		if !ok || !slices.Equal(v.Shape, got.Shape) {
			t.Errorf("%s %s is not in transformers' folder", name, got.Describe())
			continue
		}
		want, err := v.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range values {
			x := want[i]
			switch {
			case strings.HasSuffix(name, "qkv.bias") && i/20 == 1, name == "post_layernorm.bias":
				x = 0
			case name == "post_layernorm.weight":
				x = 1
			}
			if d := values[i] - x; d > 2e-3 || d < -2e-3 {
				t.Fatalf("%s[%d] is %g, want %g", name, i, values[i], x)
			}
		}
	}
	if n := len(whole.Names()); len(f.Names()) == 0 || len(f.Names()) >= n {
		t.Errorf("%d weights of %d", len(f.Names()), n)
	}
}

func TestWhatTransformersCannotExpress(t *testing.T) {
	b := load(t, golden("opt"))
	for _, c := range []struct {
		parts convert.Parts
		want  string
	}{
		{convert.Parts{Families: builtin.Families(), Vision: filepath.Join("..", "adapters", "vit", "testdata", "golden-quick-gelu", "checkpoint"), Language: golden("opt")}, `model_type "clip_vision_model"`},
		{convert.Parts{Families: builtin.Families(), Vision: golden("opt"), Language: filepath.Join("..", "adapters", "opt", "testdata", "golden-post-norm", "checkpoint")}, "wide as the language model"},
		{convert.Parts{Families: builtin.Families(), Vision: golden("retrieval"), Language: golden("retrieval")}, "no weight is named language_model."},
	} {
		_, _, err := convert.Assemble(context.Background(), b, c.parts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.parts, err, c.want)
		}
	}
	if _, err := convert.FromFolder(context.Background(), filepath.Join("..", "adapters", "opt", "testdata", "golden-pre-norm", "checkpoint"), builtin.Families()); adapters.KindOf(err) != adapters.Unsupported {
		t.Errorf("a language model alone: %v", err)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	if _, err := convert.OpenLAVIS(filepath.Join("..", "internal", "torchfile", "testdata", "zip.pt")); adapters.KindOf(err) != adapters.Unsupported ||
		!strings.Contains(err.Error(), "neither query_tokens nor") {
		t.Errorf("tensors of something else: %v", err)
	}
	l := openLAVIS(t, "stage2.pth")
	if _, err := l.Config(0); err == nil || !strings.Contains(err.Error(), "--heads") {
		t.Errorf("heads of 64 in a width of 16: %v", err)
	}
	if _, err := l.Encoder(0); err == nil || !strings.Contains(err.Error(), "--encoder-heads") {
		t.Errorf("heads of 88 in a width of 20: %v", err)
	}
}
