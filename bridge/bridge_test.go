package bridge_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/qformer"
)

const tokenizerPath = "../kit/models/qformer-tokenizer/tokenizer.json"

func small(t *testing.T) *bridge.Bridge {
	t.Helper()
	tok, err := bridge.OpenTokenizer(t.Context(), tokenizerPath)
	if err != nil {
		t.Fatal(err)
	}
	c := qformer.Base()
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Queries = 16, 2, 2, 32, 3
	c.EncoderWidth, c.Vocabulary, c.MaxPositions, c.ProjectionDim, c.InitStd = 8, tok.Vocabulary(), 32, 8, 0.2
	b, err := bridge.New(backends.ForTest(t), c, tok, 1)
	if err != nil {
		t.Fatal(err)
	}
	b.Info.Vision = bridge.Side{ID: "eye", Family: "vit", Width: 8, Digest: "sha256:1"}
	t.Cleanup(b.Close)
	return b
}

func language(width int, norm float32) adapters.LanguageSpec {
	return adapters.LanguageSpec{Spec: adapters.Spec{ID: "tongue", Family: "opt", Width: width, Digest: "sha256:2"}, TokenNorm: norm}
}

func features(rows int) *adapters.Tensor {
	t := adapters.NewTensor(adapters.Float32, rows, 5, 8)
	for i := range t.Float32s() {
		t.Float32s()[i] = float32(i*7919%101)/50 - 1
	}
	return t
}

func TestSaveAndLoadLoseNothing(t *testing.T) {
	b := small(t)
	dir := t.TempDir()
	if err := b.Save(dir, adapters.Float32); err != nil {
		t.Fatal(err)
	}
	again, err := bridge.Load(t.Context(), b.Backend(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	if !reflect.DeepEqual(again.Info.Vision, b.Info.Vision) || again.Config() != b.Config() {
		t.Errorf("got %+v %+v, want %+v %+v", again.Info, again.Config(), b.Info, b.Config())
	}
	texts := []string{"a dog on a red background", "two cats"}
	for name, compute := range map[string]func(*bridge.Bridge) (*adapters.Tensor, error){
		"queries":    func(b *bridge.Bridge) (*adapters.Tensor, error) { return b.Queries(t.Context(), features(3)) },
		"similarity": func(b *bridge.Bridge) (*adapters.Tensor, error) { return b.Similarity(t.Context(), features(3), texts) },
		"match":      func(b *bridge.Bridge) (*adapters.Tensor, error) { return b.Match(t.Context(), features(2), texts) },
	} {
		want, err := compute(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := compute(again)
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Data) != string(want.Data) {
			t.Errorf("%s differs after a round trip", name)
		}
	}
}

func TestRowsDoNotDependOnTheBatch(t *testing.T) {
	b := small(t)
	all, err := b.Queries(t.Context(), features(67)) // more than one bucket, the last one padded
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []int{0, 63, 66} {
		one, err := b.Queries(t.Context(), features(67).Slice(row, row+1))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range all.Row(row).Float32s() {
			if d := one.Float32s()[i] - want; d > 1e-4 || d < -1e-4 {
				t.Fatalf("row %d alone differs by %g", row, d)
			}
		}
	}
}

func TestForLanguageKeepsQueriesAndMeetsTheTokenNorm(t *testing.T) {
	b := small(t)
	joined, err := b.ForLanguage(language(12, 3), bridge.Templates{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(joined.Close)
	want, err := b.Queries(t.Context(), features(2))
	if err != nil {
		t.Fatal(err)
	}
	got, err := joined.Queries(t.Context(), features(2))
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Data) != string(want.Data) {
		t.Error("the queries differ from the stage-1 bridge's")
	}
	prompts, err := joined.SoftPrompts(t.Context(), features(2))
	if err != nil {
		t.Fatal(err)
	}
	if err := prompts.Check("prompts", []int{2, 3, 12}, adapters.Float32); err != nil {
		t.Fatal(err)
	}
	var square float64
	for _, v := range prompts.Float32s() {
		square += float64(v) * float64(v)
	}
	if mean := square / 6; mean < 9./4 || mean > 9*4 { // of the norm, squared: 3² within a factor of two
		t.Errorf("mean squared norm %g of fresh soft prompts, want about 9", mean)
	}
	if _, err := joined.Similarity(t.Context(), features(1), []string{"a dog"}); err == nil {
		t.Error("a stage-2 bridge without a text side compared texts")
	}
}

func TestLoadRefusesWhatIsNotABridge(t *testing.T) {
	backend := backends.ForTest(t)
	for name, spoil := range map[string]func(dir string) error{
		"bridge.json": func(dir string) error { return os.Remove(filepath.Join(dir, "bridge.json")) },
		"format": func(dir string) error {
			return replaceIn(filepath.Join(dir, "bridge.json"), `"format": 1`, `"format": 99`)
		},
		"bridge.json: ": func(dir string) error { return os.Truncate(filepath.Join(dir, "bridge.json"), 20) },
		"query_tokens": func(dir string) error {
			return replaceIn(filepath.Join(dir, "bridge.json"), `"num_query_tokens": 3`, `"num_query_tokens": 4`)
		},
		"model.safetensors": func(dir string) error { return os.Truncate(filepath.Join(dir, "model.safetensors"), 1000) },
	} {
		dir := t.TempDir()
		if err := small(t).Save(dir, adapters.BFloat16); err != nil {
			t.Fatal(err)
		}
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		_, err := bridge.Load(t.Context(), backend, dir)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s spoilt: got %v", name, err)
		}
	}
}

func replaceIn(path, old, new string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(data), old, new, 1)), 0o644)
}

type eye struct{ adapters.VisionEncoder }

func (eye) Spec() adapters.VisionSpec {
	return adapters.VisionSpec{Spec: adapters.Spec{ID: "other-eye", Width: 9}}
}

func TestComposeRefusesAnotherWidth(t *testing.T) {
	_, err := bridge.Compose(small(t), eye{}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "width 9") || !strings.Contains(err.Error(), "--encoder other-eye") {
		t.Errorf("got %v", err)
	}
}

type sameEye struct{ adapters.VisionEncoder }

func (sameEye) Spec() adapters.VisionSpec {
	return adapters.VisionSpec{Spec: adapters.Spec{ID: "eye", Width: 8, Digest: "sha256:fedcba9876543210fedcba"}}
}

func TestComposeTellsOtherWeightsOfOneIDApart(t *testing.T) {
	var text bytes.Buffer
	if _, err := bridge.Compose(small(t), sameEye{}, nil, slog.New(slog.NewTextHandler(&text, nil))); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`got="eye sha256:fedcba987654"`, `"trained with"="eye sha256:1"`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in the warning %s", want, text.String())
		}
	}
}

func TestComposeWarnsOfAnotherLayer(t *testing.T) {
	for layer, want := range map[int]bool{-2: true, 0: false} { // 0: not recorded
		var text bytes.Buffer
		b := small(t)
		b.Info.Vision.Layer = layer
		if _, err := bridge.Compose(b, sameEye{}, nil, slog.New(slog.NewTextHandler(&text, nil))); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), "another layer") != want {
			t.Errorf("layer %d: %s", layer, text.String())
		}
	}
}

// A file that is being replaced is never seen half: what others have open stays
// as it was.
func TestSaveReplacesFiles(t *testing.T) {
	b := small(t)
	dir := t.TempDir()
	if err := b.Save(dir, adapters.Float32); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bridge.json", "tokenizer.json", "model.safetensors"} {
		if err := os.Link(filepath.Join(dir, name), filepath.Join(dir, "old-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Save(dir, adapters.Float32); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bridge.json", "tokenizer.json", "model.safetensors"} {
		now, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if old, err := os.Stat(filepath.Join(dir, "old-"+name)); err != nil || os.SameFile(old, now) {
			t.Errorf("%s was overwritten in place (%v)", name, err)
		}
	}
}

func TestWordsKeepTheEnd(t *testing.T) {
	tok, err := bridge.OpenTokenizer(t.Context(), tokenizerPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tok.Close() })
	ids, err := tok.Batch([]string{strings.Repeat("dog ", 60), "a dog"})
	if err != nil {
		t.Fatal(err)
	}
	if ids.Shape[1] != bridge.MaxTextTokens {
		t.Fatalf("ids %s", ids.Describe())
	}
	long, short := ids.Row(0).Int32s(), ids.Row(1).Int32s()
	if long[0] != short[0] || long[31] != short[3] || short[4] != tok.Pad() || short[3] == tok.Pad() {
		t.Errorf("long %v, short %v: want [CLS] … [SEP], then padding", long, short[:6])
	}
}

func TestPromptsUseStringsAsGiven(t *testing.T) {
	p := bridge.Templates{Caption: "a photo of", Question: "Question: {} Answer:", TargetPrefix: " "}
	e := p.QuestionExample(3, "how many?", "two")
	if len(e.Segments) != 2 || e.Segments[0] != adapters.PromptSegment(3) || e.Segments[1].Text != "Question: how many? Answer:" || e.Target != " two" {
		t.Errorf("%+v", e)
	}
	if blind := bridge.WithoutPicture(e); len(blind.Segments) != 1 || blind.Segments[0].IsPrompt || blind.Target != e.Target {
		t.Errorf("%+v", blind)
	}
	if e := p.CaptionExample(0, ""); e.Target != "" {
		t.Errorf("an empty target became %q", e.Target)
	}
}
