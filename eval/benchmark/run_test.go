package benchmark_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/eval/metrics"
	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/eval/tasks"
)

// A killed process leaves a file that is cut off somewhere, because lines are only appended.
func TestACutOffRunEndsTheSame(t *testing.T) {
	m, files, whole := openModel(t), writeData(t), t.TempDir()
	for _, text := range []string{vqaTask, retrievalTask} {
		set := openSet(t, text, files)
		o := options(m, whole)
		o.Fresh, o.Batch = true, 8
		mustRun(t, m, set, o)
		want, all := content(t, whole, benchmark.SamplesFile), readAll(t, filepath.Join(whole, benchmark.SamplesFile))
		rng := rand.New(rand.NewPCG(3, 4))
		for range 10 {
			cut := rng.IntN(len(all))
			dir := t.TempDir()
			for name, data := range map[string][]byte{benchmark.PlanFile: readAll(t, filepath.Join(whole, benchmark.PlanFile)), benchmark.SamplesFile: all[:cut]} {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			again := options(m, dir)
			again.Batch = 8
			mustRun(t, m, set, again)
			if got := content(t, dir, benchmark.SamplesFile); got != want {
				t.Fatalf("cut at byte %d of %d, the samples differ", cut, len(all))
			}
			if got, want := content(t, dir, benchmark.ResultFile), content(t, whole, benchmark.ResultFile); got != want {
				t.Fatalf("cut at byte %d, the results differ:\n%s\n%s", cut, got, want)
			}
		}
	}
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The figures are those of the command that scores files of predictions.
func TestFiguresAreThoseOfEvalScore(t *testing.T) {
	m, files := openModel(t), writeData(t)
	dir := t.TempDir()
	r := mustRun(t, m, openSet(t, vqaTask, files), options(m, dir))
	if r.N != 40 || r.Failed != 0 || r.Upload != benchmark.UploadFile || r.Answers < 3 {
		t.Fatalf("n %d, failed %d, upload %q, %d distinct answers", r.N, r.Failed, r.Upload, r.Answers)
	}
	scored, err := score.Score(t.Context(), score.VQA, score.Options{Predictions: filepath.Join(dir, r.Upload), Annotations: filepath.Join(files, "annotations.json"),
		Questions: filepath.Join(files, "questions.json"), Variant: "lavis"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := float64(r.Figures[0].Value), scored.Figures[0].Value(); got != want {
		t.Errorf("value %v, eval score gives %v", got, want)
	}
	if len(r.Figures) != 3 || r.Figures[1].By != "answer_type" || r.Figures[1].N != 20 {
		t.Errorf("figures %+v, want one of each answer type", r.Figures)
	}
	samples, err := benchmark.ReadSamples(dir)
	if err != nil || len(samples) != 40 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, s := range samples {
		if want := metrics.NewVQA(metrics.VQALAVIS).Accuracy(s.Raw, s.Target); s.Score == nil || *s.Score != want || s.Normalised != metrics.NormalizeVQA(s.Raw) {
			t.Errorf("%+v, want score %v", s, want)
		}
		if !strings.HasPrefix(s.Prompt, "Question: what is it") || !strings.HasSuffix(s.Prompt, "? Answer:") {
			t.Errorf("prompt %q", s.Prompt)
		}
	}
	captions := mustRun(t, m, openSet(t, captionTask, files), options(m, t.TempDir()))
	if captions.N != pictures || captions.NotComputed["meteor"] == "" || captions.Settings.Tokenizer != "ptb" {
		t.Errorf("%+v", captions)
	}
}

// A caption's score is a tenth of its CIDEr-D among all references.
func TestCaptionScores(t *testing.T) {
	m, files, dir := openModel(t), writeData(t), t.TempDir()
	r := mustRun(t, m, openSet(t, captionTask, files), options(m, dir))
	samples, err := benchmark.ReadSamples(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, s := range samples {
		sum += 10 * *s.Score / pictures
	}
	i := slices.IndexFunc(r.Figures, func(f benchmark.Figure) bool { return f.Key == "cider_d" })
	if i < 0 || math.Abs(sum-float64(r.Figures[i].Value)) > 1e-12 {
		t.Errorf("the mean of scores is %v, figures are %+v", sum, r.Figures)
	}
}

// Another task, model, subset or setting is refused, and the error names it.
func TestAnotherPlanIsRefused(t *testing.T) {
	m, files, dir := openModel(t), writeData(t), t.TempDir()
	set := openSet(t, vqaTask, files)
	o := options(m, dir)
	o.Limit = 6
	mustRun(t, m, set, o)
	for want, change := range map[string]func(o *benchmark.Options) *tasks.Set{
		"the prompt": func(*benchmark.Options) *tasks.Set {
			return openSet(t, strings.Replace(vqaTask, "Answer:", "Short answer:", 1), files)
		},
		"the task's file":                      func(*benchmark.Options) *tasks.Set { return openSet(t, "# new\n"+vqaTask, files) },
		"the setting batch (was 4, is 5)":      func(o *benchmark.Options) *tasks.Set { o.Batch = 5; return set },
		"is 7 of 40 samples":                   func(o *benchmark.Options) *tasks.Set { o.Limit = 7; return set },
		"seed 9":                               func(o *benchmark.Options) *tasks.Set { o.Seed = 9; return set },
		"the bridge (was sha256:toy, is next)": func(o *benchmark.Options) *tasks.Set { o.Model.Bridge = "next"; return set },
	} {
		changed := o
		other := change(&changed)
		_, err := benchmark.Run(t.Context(), m, other, changed)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if remedy := adapters.RemedyOf(err); !strings.Contains(remedy, "--fresh") || !strings.Contains(remedy, "--out") {
			t.Errorf("remedy %q", remedy)
		}
	}
	o.Fresh, o.Seed = true, 9
	mustRun(t, m, set, o)
}

// A published model gets the paper's figures, and a line that says what differs.
func TestPaper(t *testing.T) {
	m, files := openModel(t), writeData(t)
	text := vqaTask + `[[paper]]
model = "blip2-opt-2.7b"
value = 53.5
source = "a paper, table 2"
differs = "another prompt"
[[paper]]
model = "blip2-opt-6.7b"
value = 54.3
source = "a paper, table 2"
`
	o := options(m, t.TempDir())
	o.Limit = 4
	text += `[[paper]]
model = "blip2-opt-2.7b"
group = "answer_type: other"
value = 40.5
source = "a paper, table 2"
`
	if r := mustRun(t, m, openSet(t, text, files), o); r.Paper != nil || r.Figures[0].Paper != nil {
		t.Errorf("a model that nobody published has %+v", r.Paper)
	}
	o.Dir, o.Model.Published, o.Model.Trained = t.TempDir(), "blip2-opt-2.7b", true
	r := mustRun(t, m, openSet(t, text, files), o)
	if r.Paper == nil || r.Figures[0].Paper == nil || *r.Figures[0].Paper != 53.5 || !slices.Equal(r.Paper.Sources, []string{"a paper, table 2"}) {
		t.Fatalf("%+v", r.Paper)
	}
	if i := slices.IndexFunc(r.Figures, func(f benchmark.Figure) bool { return f.Name == "other" }); i < 0 || r.Figures[i].Paper == nil || *r.Figures[i].Paper != 40.5 {
		t.Errorf("%+v, want the paper's figure of a group", r.Figures)
	}
	want := []string{"the paper: another prompt", "the bridge was trained here: its weights are not the published ones", "pictures of 28 pixels, not 224", "4 of 40 samples, seed 0"}
	want[2] = fmt.Sprintf("pictures of %d pixels, not 224", m.Vision.Spec().Image.Width)
	if !slices.Equal(r.Paper.Differs, want) {
		t.Errorf("%q, want %q", r.Paper.Differs, want)
	}
	header, rows := r.Table()
	if header[len(header)-1] != "paper" || rows[0][len(header)-1] != "53.50 %" || !strings.Contains(strings.Join(r.Remarks(), "\n"), "differs from it: the paper: another prompt; ") {
		t.Errorf("%q, %q, %q", header, rows[0], r.Remarks())
	}
}

// Ids that occur twice are warned of: a line of the official file may be missing.
func TestRepeatedIDs(t *testing.T) {
	m, files := openModel(t), writeData(t)
	line := func(id int) string {
		return fmt.Sprintf(`{"question_id": %d, "image": "toy_val_%012d.png", "text": "is it?", "label": "yes"}`+"\n", id, id)
	}
	if err := os.WriteFile(filepath.Join(files, "pope.jsonl"), []byte(line(1)+line(2)+line(1)), 0o644); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`"vqav2"`, `"pope"`, `questions = ["questions.json"]`, `questions = ["pope.jsonl"]`, `annotations = ["annotations.json"]`, "",
		`name = "vqa"`, `name = "pope"`, `variant = "lavis"`, "", `by = ["answer_type"]`, "", "expect = 40", "").Replace(vqaTask)
	r := mustRun(t, m, openSet(t, text, files), options(m, t.TempDir()))
	if !strings.Contains(strings.Join(r.Warnings, "\n"), "1 ids occur more than once, the first is 1") {
		t.Errorf("%q", r.Warnings)
	}
}

// A split whose answers only a server has gets no score, and a file for the server. A damaged picture has an empty answer
// there.
func TestUnscoredTask(t *testing.T) {
	m, files, dir := openModel(t), writeData(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(files, "toy_val_000000000003.png"), []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`"vqav2"`, `"vqav2-questions"`, `annotations = ["annotations.json"]`, "", `name = "vqa"`, `name = "none"`, `variant = "lavis"`, "",
		`by = ["answer_type"]`, "").Replace(vqaTask)
	r := mustRun(t, m, openSet(t, text, files), options(m, dir))
	if r.N != 40 || r.Failed != 2 || len(r.Figures) != 0 || r.Upload != benchmark.UploadFile {
		t.Errorf("%+v", r)
	}
	var upload []struct {
		ID     int `json:"question_id"`
		Answer string
	}
	if err := json.Unmarshal(readAll(t, filepath.Join(dir, benchmark.UploadFile)), &upload); err != nil || len(upload) != 40 {
		t.Fatalf("%d answers, %v", len(upload), err)
	}
	for i, a := range upload {
		if s := r.Samples[slices.IndexFunc(r.Samples, func(s benchmark.Sample) bool { return s.Index == i })]; a.ID != i || a.Answer != s.Raw || s.Score != nil || (a.Answer == "") != (i/2 == 3) {
			t.Errorf("%+v, %+v", a, s)
		}
	}
}

// A later task that sends the encoder the same pictures does not encode them again, and has the same answers.
func TestFeaturesOfEarlierTasks(t *testing.T) {
	m, files := openModel(t), writeData(t)
	counted := &countingEncoder{VisionEncoder: m.Vision}
	m.Vision = counted
	set := openSet(t, vqaTask, files)
	alone := options(m, t.TempDir())
	mustRun(t, m, set, alone)
	want, once := content(t, alone.Dir, benchmark.SamplesFile), counted.pictures
	for most, calls := range map[int64]int{benchmark.DefaultEncodedBytes: once, 1: 2 * once} {
		counted.pictures = 0
		kept := benchmark.NewEncoded(most)
		for range 2 {
			o := options(m, t.TempDir())
			o.Encoded = kept
			mustRun(t, m, set, o)
			if got := content(t, o.Dir, benchmark.SamplesFile); got != want {
				t.Errorf("%d bytes: the samples differ", most)
			}
		}
		if counted.pictures != calls {
			t.Errorf("%d bytes: %d pictures were encoded, want %d", most, counted.pictures, calls)
		}
	}
}

// countingEncoder counts the pictures that it encodes.
type countingEncoder struct {
	adapters.VisionEncoder
	pictures int
}

func (e *countingEncoder) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	e.pictures += req.Images.Shape[0]
	return e.VisionEncoder.Encode(ctx, req)
}

// The mean of a group is that of its tasks' figures.
func TestGroupMean(t *testing.T) {
	l, err := tasks.Load("")
	if err != nil {
		t.Fatal(err)
	}
	pope, err := l.Task("pope")
	if err != nil {
		t.Fatal(err)
	}
	var results []*benchmark.Result
	for i, name := range pope.Tasks {
		if _, ok := benchmark.GroupOf(pope, results); ok {
			t.Errorf("a group of %d tasks has a mean without %s", len(pope.Tasks), name)
		}
		results = append(results, &benchmark.Result{Task: benchmark.Task{Name: name}, Figures: []benchmark.Figure{
			{Key: "f1", Title: "F1", Percent: true, Value: benchmark.Number(80 + 3*i)}, {Key: "accuracy", Title: "accuracy", Percent: true, Value: 50}}})
	}
	g, ok := benchmark.GroupOf(pope, results)
	if !ok || g.Figures[0].Mean != 83 || g.Figures[0].Text() != "83.00 %" || g.Figures[1].Mean != 50 {
		t.Errorf("%+v, %v", g, ok)
	}
}

// The same subset is drawn with the same seed, whatever the batch.
func TestSubset(t *testing.T) {
	m, files := openModel(t), writeData(t)
	ids := func(batch int, seed uint64) []string {
		o := options(m, t.TempDir())
		o.Limit, o.Seed, o.Batch = 8, seed, batch
		r := mustRun(t, m, openSet(t, vqaTask, files), o)
		samples, err := benchmark.ReadSamples(o.Dir)
		if err != nil || r.N != 8 || r.Subset.Of != 40 || r.Upload != "" {
			t.Fatalf("%v, %+v", err, r)
		}
		var out []string
		for _, s := range samples {
			out = append(out, s.ID)
		}
		slices.Sort(out)
		return out
	}
	first := ids(4, 1)
	if !slices.Equal(first, ids(3, 1)) || slices.Equal(first, ids(4, 2)) {
		t.Errorf("%v", first)
	}
}

// A damaged picture fails its samples alone; many stop the run.
func TestDamagedPictures(t *testing.T) {
	m, files, dir := openModel(t), writeData(t), t.TempDir()
	damage := func(i int) {
		if err := os.WriteFile(filepath.Join(files, fmt.Sprintf("toy_val_%012d.png", i)), []byte("\x89PNG\r\n\x1a\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	damage(3)
	r := mustRun(t, m, openSet(t, vqaTask, files), options(m, dir))
	if r.N != 40 || r.Failed != 2 || len(r.Failures) != 2 || r.Failures[0].ID != "6" || !strings.Contains(r.Failures[0].Error, "toy_val_000000000003.png") || len(r.Warnings) == 0 {
		t.Errorf("%+v", r)
	}
	if r.Figures[0].N != 40 {
		t.Errorf("the figure is of %d samples, want all: failed ones count 0", r.Figures[0].N)
	}
	for i := range 7 {
		damage(i)
	}
	o := options(m, t.TempDir())
	for range 2 { // the same command does not end with a result either
		if _, err := benchmark.Run(t.Context(), m, openSet(t, vqaTask, files), o); err == nil || !strings.Contains(err.Error(), "samples failed") {
			t.Errorf("%v, want an error about failed samples", err)
		}
	}
	for i := range pictures {
		damage(i)
	}
	o = options(m, t.TempDir())
	o.Limit = 3
	if _, err := benchmark.Run(t.Context(), m, openSet(t, vqaTask, files), o); err == nil || !strings.Contains(err.Error(), "3 of the first 3 samples failed") {
		t.Errorf("%v, want an error: a figure of no answer says nothing", err)
	}
}

// The best choice has the lowest loss, and is right or wrong as the data says.
func TestRankedChoices(t *testing.T) {
	m, files := openModel(t), writeData(t)
	var rows strings.Builder
	for i := range pictures {
		fmt.Fprintf(&rows, `{"image": "toy_val_%012d.png", "caption": "it is %d", "label": %d, "relation": "at"}`+"\n", i, i, i%2)
	}
	if err := os.WriteFile(filepath.Join(files, "vsr.jsonl"), []byte(rows.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	text := `name = "toy"
title = "toy statements"
version = 1
[data]
format = "vsr"
pictures = ["."]
[data.files]
questions = ["vsr.jsonl"]
[prompt]
default = "Is it true? {question} Answer:"
[rank]
by = "sum"
candidates = ["no", "yes"]
[metric]
name = "%s"
`
	dir := t.TempDir()
	r := mustRun(t, m, openSet(t, fmt.Sprintf(text, "choice"), files), options(m, dir))
	samples, err := benchmark.ReadSamples(dir)
	if err != nil {
		t.Fatal(err)
	}
	right := 0.0
	for _, s := range samples {
		best := 0
		if s.Losses[1] < s.Losses[0] {
			best = 1
		}
		if s.Raw != s.Choices[best] || (*s.Score == 1) != (best == *s.Right) || *s.Right != s.Index%2 {
			t.Errorf("%+v", s)
		}
		right += *s.Score
	}
	if got := float64(r.Figures[0].Value); got != 100*right/pictures {
		t.Errorf("accuracy %v, want %v of %d", got, right, pictures)
	}
	roc := mustRun(t, m, openSet(t, fmt.Sprintf(text, "roc-auc"), files), options(m, t.TempDir()))
	if roc.Figures[0].Key != "roc_auc" || math.IsNaN(float64(roc.Figures[0].Value)) {
		t.Errorf("%+v", roc.Figures)
	}
}

// Pictures that the model was trained on are counted.
func TestTrainedOnPictures(t *testing.T) {
	m, files := openModel(t), writeData(t)
	o := options(m, t.TempDir())
	o.Trained = map[string]bool{pictureDigest(t, filepath.Join(files, "toy_val_000000000005.png")): true}
	r := mustRun(t, m, openSet(t, vqaTask, files), o)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "trained on 1 pictures of the task") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// A cancelled run leaves whole lines, and continues.
func TestACancelledRunContinues(t *testing.T) {
	m, files, dir := openModel(t), writeData(t), t.TempDir()
	set := openSet(t, vqaTask, files)
	ctx, cancel := context.WithCancel(t.Context())
	o := options(m, dir)
	o.Progress = func(done, _ int) {
		if done >= 12 {
			cancel()
		}
	}
	if _, err := benchmark.Run(ctx, m, set, o); err == nil {
		t.Fatal("the run ended without an error")
	}
	before, err := benchmark.ReadSamples(dir)
	if err != nil || len(before) < 12 || len(before) == 40 {
		t.Fatalf("%d samples, %v", len(before), err)
	}
	if r := mustRun(t, m, set, options(m, dir)); r.N != 40 {
		t.Errorf("n %d", r.N)
	}
}

func pictureDigest(t *testing.T, path string) string {
	t.Helper()
	return data.PictureDigest(readAll(t, path))
}
