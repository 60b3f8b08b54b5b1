package golden

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
)

// write makes a golden folder of one document and its tensors.
func write(t *testing.T, document string, tensors map[string]*adapters.Tensor) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cases.json"), []byte(document), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := weights.Write(filepath.Join(dir, "tensors.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

const language = `{"kind": "language-model", "source": "a test", "options": {}, "tolerance": {"abs": 0.01, "rel": 0.1}, "cases": [
	{"name": "l", "op": "loss", "prompts": "p", "loss": "l", "tokens": "t", "gradient": "g",
	 "examples": [{"segments": [{"prompt": 0}, {"text": "a"}], "target": "b"}]},
	{"name": "g", "op": "generate", "texts": ["x"], "options": {"num_beams": 3, "length_penalty": 0, "early_stopping": "never", "max_new_tokens": 5},
	 "examples": [{"segments": [{"text": ""}]}]},
	{"name": "s", "op": "score", "scores": "s", "examples": [{"segments": [{"text": "q"}], "candidates": ["yes", "no"]}]}]}`

func languageTensors() map[string]*adapters.Tensor {
	return map[string]*adapters.Tensor{
		"p": adapters.FromFloat32([]float32{1, 2}, 1, 1, 2), "g": adapters.FromFloat32([]float32{3, -4}, 1, 1, 2),
		"l": adapters.FromFloat32([]float32{10}, 1), "t": adapters.FromInt32([]int32{2}, 1),
		"s": adapters.FromFloat32([]float32{-1, -2}, 1, 2),
	}
}

// model answers with what it was given, and notes the requests.
type model struct {
	loss     adapters.LossResponse
	text     string
	scores   *adapters.Tensor
	requests []any
}

var (
	_ adapters.LanguageModel = (*model)(nil)
	_ adapters.Scorer        = (*model)(nil)
)

func (m *model) Spec() adapters.LanguageSpec {
	return adapters.LanguageSpec{Spec: adapters.Spec{Width: 2, Capabilities: []adapters.Capability{adapters.CapGradient, adapters.CapScore}}}
}

func (m *model) Loss(_ context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	m.requests = append(m.requests, *req)
	return &m.loss, nil
}

func (m *model) Generate(_ context.Context, req *adapters.GenerateRequest, _ func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	m.requests = append(m.requests, *req)
	return &adapters.GenerateResponse{Texts: []string{m.text}, Tokens: []int32{1}}, nil
}

func (m *model) Score(_ context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	m.requests = append(m.requests, *req)
	return &adapters.ScoreResponse{Scores: m.scores}, nil
}

func (m *model) Close() error { return nil }

func right() *model {
	return &model{
		loss: adapters.LossResponse{Loss: []float32{10.5}, Tokens: []int32{2}, Gradient: adapters.FromFloat32([]float32{3, -4.25}, 1, 1, 2)},
		text: "x", scores: adapters.FromFloat32([]float32{-1, -2}, 1, 2),
	}
}

func run(t *testing.T, dir string, m *model) []Result {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	results, err := Run(t.Context(), f, Language(m))
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestLanguage(t *testing.T) {
	m, zero := right(), 0.0
	got := run(t, write(t, language, languageTensors()), m)
	want := []Result{
		{Case: "l", Op: "loss", MaxAbs: 0.5, Where: "loss[0]", OK: true},
		{Case: "g", Op: "generate", OK: true},
		{Case: "s", Op: "score", OK: true},
	}
	if !reflect.DeepEqual(got, want) || !OK(got) {
		t.Errorf("results are %+v, want %+v", got, want)
	}
	asked := []any{
		adapters.LossRequest{Prompts: languageTensors()["p"], Gradient: true, Examples: []adapters.Example{
			{Segments: []adapters.Segment{adapters.PromptSegment(0), adapters.TextSegment("a")}, Target: "b"}}},
		adapters.GenerateRequest{Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("")}}},
			Options: adapters.GenerateOptions{NumBeams: 3, LengthPenalty: &zero, EarlyStopping: adapters.EarlyStoppingNever, MaxNewTokens: 5}},
		adapters.ScoreRequest{Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("q")}}},
			Candidates: [][]string{{"yes", "no"}}},
	}
	if !reflect.DeepEqual(m.requests, asked) {
		t.Errorf("requests are %+v, want %+v", m.requests, asked)
	}
}

func TestMisses(t *testing.T) {
	nan := float32(math.NaN())
	tests := []struct {
		name   string
		change func(*model)
		miss   int // index of the case
		part   string
	}{
		{"loss", func(m *model) { m.loss.Loss[0] = 11.02 }, 0, "1 of 1 elements of loss are off, first [0]: got 11.02, want 10"},
		{"tokens", func(m *model) { m.loss.Tokens[0] = 3 }, 0, "tokens are off"},
		{"gradient", func(m *model) { m.loss.Gradient.Float32s()[1] = 4 }, 0, "gradient are off, first [0, 0, 1]"},
		{"nan", func(m *model) { m.loss.Gradient.Float32s()[0] = nan }, 0, "got NaN"},
		{"no gradient", func(m *model) { m.loss.Gradient = nil }, 0, "gradient"},
		{"text", func(m *model) { m.text = "x " }, 1, `text 0 is "x ", want "x"`},
		{"shape", func(m *model) { m.scores = adapters.FromFloat32([]float32{-1, -2}, 2, 1) }, 2, "scores"},
	}
	dir := write(t, language, languageTensors())
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := right()
			test.change(m)
			results := run(t, dir, m)
			if OK(results) {
				t.Error("all cases pass")
			}
			for i, r := range results {
				if r.OK != (i != test.miss) {
					t.Errorf("case %s: ok is %t", r.Case, r.OK)
				}
			}
			var table strings.Builder
			if err := WriteTable(&table, results); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(table.String(), "MISS: ") || !strings.Contains(table.String(), test.part) {
				t.Errorf("the table\n%s does not say %q", table.String(), test.part)
			}
		})
	}
}

// TestExpectedNaN: a reference of NaN is never met.
func TestExpectedNaN(t *testing.T) {
	nan := adapters.FromFloat32([]float32{float32(math.NaN())}, 1)
	c := &Case{Want: tensors("x", nan)}
	if r := compare(c, tensors("x", nan), Tolerance{1, 1}); r.OK {
		t.Error("NaN passes")
	}
}

func TestRunCanceled(t *testing.T) {
	f, err := Open(write(t, language, languageTensors()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	results, err := Run(ctx, f, RunnerFunc(func(ctx context.Context, _ *Case) (Outputs, error) {
		cancel()
		return Outputs{}, ctx.Err()
	}))
	if len(results) != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d results and error %v, want none and context.Canceled", len(results), err)
	}
	if OK(results) {
		t.Error("no results pass")
	}
}

func TestBridgeSeam(t *testing.T) {
	document := `{"kind": "bridge", "source": "a test", "cases": [{"name": "p", "op": "soft_prompts", "images": "i", "prompts": "p"}]}`
	prompts := adapters.FromFloat32([]float32{1, 2}, 1, 1, 2)
	f, err := Open(write(t, document, map[string]*adapters.Tensor{"i": adapters.NewTensor(adapters.Uint8, 1, 2, 2, 3), "p": prompts}))
	if err != nil {
		t.Fatal(err)
	}
	results, err := Run(t.Context(), f, RunnerFunc(func(_ context.Context, c *Case) (Outputs, error) {
		if c.Images == nil || c.Prompts != nil {
			t.Errorf("images %s, prompts %s, want images alone", c.Images.Describe(), c.Prompts.Describe())
		}
		return tensors("prompts", prompts), nil
	}))
	if err != nil || !OK(results) || f.Tolerance != (Tolerance{1e-4, 1e-4}) {
		t.Errorf("results %+v, tolerance %v, error %v", results, f.Tolerance, err)
	}
}

func TestOpenErrors(t *testing.T) {
	edit := func(key string, value any) string {
		var d map[string]any
		if err := json.Unmarshal([]byte(language), &d); err != nil {
			t.Fatal(err)
		}
		first := d["cases"].([]any)[0].(map[string]any)
		if _, ok := d[key]; ok {
			d[key] = value
		} else {
			first[key] = value
		}
		out, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	segment := func(s map[string]any) []any { return []any{map[string]any{"segments": []any{s}}} }
	tests := map[string]struct{ document, part string }{
		"not JSON":       {`{`, "unexpected EOF"},
		"two documents":  {language + "{}", "more than one JSON document"},
		"kind":           {edit("kind", "llm"), `kind is "llm", want "vision-encoder"`},
		"op":             {edit("op", "encode"), `op is "encode", which language-model folders do not have`},
		"unknown field":  {edit("lost", "l"), `unknown field "lost"`},
		"early stopping": {strings.Replace(language, `"never"`, `"later"`, 1), `early_stopping is "later", want true, false or "never"`},
		"no cases":       {edit("cases", []any{}), "there are no cases"},
		"no tensor":      {edit("loss", "absent"), `loss is tensor "absent", which tensors.safetensors lacks`},
		"nothing wanted": {edit("loss", ""), "op loss has no loss to compare with"},
		"segment":        {edit("examples", segment(map[string]any{"prompt": 0, "text": "a"})), "example 0, segment 0: want either prompt or text"},
		"wrong type":     {edit("name", 7), "in cases: got a number, want text"},
		"no segment":     {edit("examples", segment(map[string]any{})), "want either prompt or text"},
	}
	dir := write(t, language, languageTensors())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "cases.json"), []byte(test.document), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir)
			if adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), test.part) {
				t.Errorf("error %v, want one of kind corrupt that says %q", err, test.part)
			}
		})
	}
	if _, err := Open(t.TempDir()); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("error %v, want kind not found", err)
	}
}

func TestLoadRequest(t *testing.T) {
	document := `{"kind": "vision-encoder", "source": "a test", "options": {"feature_layer": -2},
		"cases": [{"name": "e", "op": "encode", "images": "i", "features": "f"}]}`
	dir := write(t, document, map[string]*adapters.Tensor{"i": adapters.NewTensor(adapters.Uint8, 1, 2, 3, 3), "f": adapters.NewTensor(adapters.Float32, 1, 1, 1)})
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	layer := -2
	want := &adapters.LoadRequest{Checkpoint: filepath.Join(dir, "checkpoint"), Backend: "go", DType: adapters.Float32, FeatureLayer: &layer,
		ImageSize: adapters.Size{Width: 3, Height: 2}}
	if got := f.LoadRequest("go"); !reflect.DeepEqual(got, want) {
		t.Errorf("request is %+v, want %+v", got, want)
	}
}

func TestBySize(t *testing.T) {
	images := func(name string, h, w int) Case {
		return Case{Name: name, Images: adapters.NewTensor(adapters.Uint8, 1, h, w, 3)}
	}
	f := &Folder{Dir: "d", Cases: []Case{{Name: "text"}, images("a", 4, 6), images("b", 6, 4), images("c", 4, 6)}}
	var got []string
	for _, part := range f.BySize() {
		names := fmt.Sprint(part.Dir, " ", part.ImageSize(), ":")
		for _, c := range part.Cases {
			names += " " + c.Name
		}
		got = append(got, names)
	}
	if want := []string{"d {6 4}: text a c", "d {4 6}: b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	f.Cases = f.Cases[:2]
	if parts := f.BySize(); len(parts) != 1 || parts[0] != f {
		t.Errorf("one size: got %v, want the folder itself", parts)
	}
}

func TestImageSizeIsThatOfAllPictures(t *testing.T) {
	images := func(h, w int) Case { return Case{Images: adapters.NewTensor(adapters.Uint8, 2, h, w, 3)} }
	for _, c := range []struct {
		cases []Case
		want  adapters.Size
	}{
		{[]Case{images(4, 6), {}, images(4, 6)}, adapters.Size{Width: 6, Height: 4}},
		{[]Case{images(4, 6), images(6, 4)}, adapters.Size{}},
		{[]Case{{}}, adapters.Size{}},
	} {
		if got := (&Folder{Cases: c.cases}).ImageSize(); got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
}
