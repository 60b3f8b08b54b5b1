package benchmark_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/t5"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/eval/tasks"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// officialReference is testdata/official.json.gz (tools/reference/tasks.py): small files in the layouts of
// official benchmarks, and what PyTorch answers.
type officialReference struct {
	Size     int
	Boxes    [][][7]int        // of each picture: left, top, right, bottom, red, green, blue
	Files    map[string]string // texts by path
	Pictures map[string]int    // numbers of pictures by path
	Results  map[string]map[string]officialResult
}

// officialResult is the result of a task by a model: opt, t5 or retrieval.
type officialResult struct {
	Figures map[string]float64
	Answers map[string]struct {
		Text   string
		Losses []float64
		Margin float64
	}
	TextTokens  int `json:"text_tokens"`
	Text, Image struct {
		Ranks   []int
		Margins []float64
	}
	Matches [][2][2]float64
}

// write writes the files to a folder.
func (r *officialReference) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	add := func(name string, data []byte) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range r.Files {
		add(name, []byte(text))
	}
	encoded := make([][]byte, len(r.Boxes))
	for i := range r.Boxes {
		encoded[i] = r.png(t, i)
	}
	for name, i := range r.Pictures {
		add(name, encoded[i])
	}
	return dir
}

// png returns picture i.
func (r *officialReference) png(t *testing.T, i int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, r.Size, r.Size))
	for _, b := range r.Boxes[i] {
		for y := b[1]; y < b[3]; y++ {
			for x := b[0]; x < b[2]; x++ {
				img.Set(x, y, color.NRGBA{uint8(b[4]), uint8(b[5]), uint8(b[6]), 255})
			}
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var (
	expected   = regexp.MustCompile(`(?m)^expect = \d+`)
	textTokens = regexp.MustCompile(`(?m)^text_tokens = \d+`)
)

// shippedSet opens a shipped task on small files: any number of samples is right, and captions are cut where
// the reference's Q-Former ends. All else is as shipped.
func shippedSet(t *testing.T, name, dir string) *tasks.Set {
	t.Helper()
	text := readAll(t, filepath.Join("..", "tasks", name+".toml"))
	text = textTokens.ReplaceAll(expected.ReplaceAll(text, []byte("expect = 0")), []byte("text_tokens = 33"))
	task, err := tasks.Parse(name+".toml", text)
	if err != nil {
		t.Fatal(err)
	}
	return openTask(t, task, dir)
}

// Shipped tasks on files in the official layouts give PyTorch's answers, ranks and figures.
func TestShippedTasksAsPyTorch(t *testing.T) {
	var r officialReference
	testenv.ReadJSON(t, "testdata/official.json.gz", &r)
	dir := r.write(t)
	language, t5Family := opt.Family(), t5.Family()
	golden := filepath.Join("..", "..", "bridge", "testdata")
	models := map[string]*bridge.Model{
		"opt":       openFolder(t, filepath.Join("..", "testdata", "blip2-opt"), &language),
		"t5":        openFolder(t, filepath.Join(golden, "golden-t5", "checkpoint"), &t5Family),
		"retrieval": openFolder(t, filepath.Join(golden, "golden-retrieval", "checkpoint"), nil),
	}
	if len(r.Results) != 13 {
		t.Fatalf("%d tasks, want 13", len(r.Results))
	}
	for name, byModel := range r.Results {
		for kind, want := range byModel {
			t.Run(name+" by "+kind, func(t *testing.T) {
				out := t.TempDir()
				o := options(models[kind], out)
				o.Batch = 8
				got := mustRun(t, models[kind], shippedSet(t, name, dir), o)
				samples, err := benchmark.ReadSamples(out)
				if err != nil {
					t.Fatal(err)
				}
				if got.Failed > 0 || len(got.Warnings) > 0 && got.Answers != 1 {
					t.Errorf("%d failed, warnings %q", got.Failed, got.Warnings)
				}
				if ties := want.compare(t, samples); ties == 0 {
					want.compareFigures(t, got)
				}
			})
		}
	}
}

// nearTie is the margin up to which rounding may decide.
const nearTie = 2e-5

// compare compares samples with the reference's, and returns the number of near ties that differ.
func (want officialResult) compare(t *testing.T, samples []benchmark.Sample) (ties int) {
	t.Helper()
	differs := func(what string, margin float64, got, right any) {
		if ties++; margin >= nearTie || ties > 1 {
			t.Errorf("%s: %v, want %v; margin %.1e", what, got, right, margin)
		}
	}
	if n := max(len(want.Answers), len(want.Text.Ranks)+len(want.Image.Ranks), len(want.Matches)); len(samples) != n {
		t.Fatalf("%d samples, want %d", len(samples), n)
	}
	ranks, margins := slices.Concat(want.Text.Ranks, want.Image.Ranks), slices.Concat(want.Text.Margins, want.Image.Margins)
	for i, s := range samples {
		switch {
		case s.Rank != nil:
			if *s.Rank != ranks[i] {
				differs(s.ID, margins[i], *s.Rank, ranks[i])
			}
		case s.Matches != nil:
			for n := range 4 {
				near(t, s.ID, s.Matches[n/2][n%2], want.Matches[s.Index][n/2][n%2], 1e-4)
			}
		default:
			w, ok := want.Answers[s.ID]
			if !ok {
				t.Fatalf("no sample %q in the reference", s.ID)
			}
			if s.Raw != w.Text {
				differs(s.ID+", "+s.Prompt, w.Margin, s.Raw, w.Text)
			}
			for n, loss := range w.Losses {
				near(t, s.ID, s.Losses[n], loss, 2e-3) // sums are up to 1000
			}
		}
	}
	return ties
}

// compareFigures compares figures with the reference's. The key "BY: NAME" is the main figure of a group.
func (want officialResult) compareFigures(t *testing.T, got *benchmark.Result) {
	t.Helper()
	for key, value := range want.Figures {
		by, name, ofGroup := strings.Cut(key, ": ")
		i := slices.IndexFunc(got.Figures, func(f benchmark.Figure) bool {
			return !ofGroup && f.Key == key && f.By == "" || ofGroup && f.By == by && f.Name == name
		})
		if i < 0 {
			t.Errorf("no figure %s in %+v", key, got.Figures)
			continue
		}
		near(t, key, float64(got.Figures[i].Value), value, 1e-9)
	}
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}
