package kit

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/kit/scene"
)

func TestExtractBenchmarks(t *testing.T) {
	cache := t.TempDir()
	dir := extractBenchmarks(t, cache)
	d := open(t, Report)
	var captions cocoFile
	readJSON(t, filepath.Join(dir, BenchmarkCaptions), &captions)
	if len(captions.Images) != 200 || len(captions.Annotations) != 1000 {
		t.Fatalf("%d pictures, %d captions", len(captions.Images), len(captions.Annotations))
	}
	for _, i := range []int{0, 199} {
		if got := readPNG(t, filepath.Join(dir, "images", captions.Images[i].FileName)); !slices.Equal(got, d.Image(i)) {
			t.Errorf("picture %d differs from the data set's", i)
		}
		if got := captions.Annotations[5*i]; got.ImageID != i || got.Caption != d.Example(i).Caption {
			t.Errorf("first caption of picture %d: got %+v", i, got)
		}
	}
	var style cocoFile
	readJSON(t, filepath.Join(dir, BenchmarkStyleCaptions), &style)
	if !slices.Equal(style.Annotations, captions.Annotations) || style.Images[7].FileName == captions.Images[7].FileName {
		t.Error("the style's captions differ from Report's, or its pictures do not")
	}
	for name, damage := range map[string]func(file string) error{
		BenchmarkAnnotations:                 func(file string) error { return os.WriteFile(file, []byte("{}"), 0o644) },
		"images/" + style.Images[7].FileName: os.Remove,
		benchmarkSums:                        func(file string) error { return os.WriteFile(file, nil, 0o644) },
	} {
		file := filepath.Join(dir, name)
		right, err := os.ReadFile(file)
		if err := errors.Join(err, os.Chmod(file, 0o644), damage(file)); err != nil {
			t.Fatal(err)
		}
		if checkSums(t.Context(), dir) == nil {
			t.Errorf("%s: damage is not found", name)
		}
		if err := os.WriteFile(file, right, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := checkSums(t.Context(), dir); err != nil {
			t.Errorf("%s is whole again: %v", name, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, BenchmarkQuestions)); err != nil {
		t.Fatal(err)
	}
	if again := extractBenchmarks(t, cache); again != dir || checkSums(t.Context(), dir) != nil {
		t.Error("a missing file is not made anew")
	}
}

func TestRetrievalTellsPicturesApart(t *testing.T) {
	pictures := describe(Report).retrievalFile(retrievalPictures)
	seen := map[string]bool{}
	for _, p := range pictures {
		for _, c := range p.Captions {
			if seen[c] {
				t.Errorf("two pictures have the caption %q", c)
			}
			seen[c] = true
		}
	}
	if len(pictures) != 30 || len(seen) != 150 {
		t.Errorf("got %d pictures with %d captions, want 30 with 150", len(pictures), len(seen))
	}
}

func TestAnnotators(t *testing.T) {
	d := describe(Report)
	questions, annotations := d.vqaFiles(questionedPictures)
	if len(questions.Questions) != len(annotations.Annotations) || len(questions.Questions) < 400 {
		t.Fatalf("%d questions, %d annotations", len(questions.Questions), len(annotations.Annotations))
	}
	ids := map[int]bool{}
	right, all := map[string]int{}, map[string]int{}
	for i, a := range annotations.Annotations {
		q := questions.Questions[i]
		if q.QuestionID != a.QuestionID || q.ImageID != a.ImageID || ids[q.QuestionID] || len(a.Answers) != 10 {
			t.Fatalf("question %d: %+v, %+v", i, q, a)
		}
		ids[q.QuestionID] = true
		if !strings.HasPrefix(q.Question, a.QuestionType) {
			t.Errorf("%q has the type %q", q.Question, a.QuestionType)
		}
		truth := truths(d.Example(q.ImageID).Questions)[q.Question]
		for k, answer := range a.Answers {
			if answer.ID != k+1 || answer.Answer == "" || strings.HasPrefix(answer.Answer, "a ") {
				t.Errorf("%q: answer %+v", q.Question, answer)
			}
			all[a.AnswerType]++
			if answer.Answer == truth {
				right[a.AnswerType]++
			}
		}
		if !slices.ContainsFunc(a.Answers, func(h humanAnswer) bool { return h.Answer == a.MostFrequent }) {
			t.Errorf("%q: nobody gave %q", q.Question, a.MostFrequent)
		}
	}
	// Annotators disagree, and mostly about what is in a picture.
	for kind, within := range map[string][2]float64{"yes/no": {0.9, 0.99}, "number": {0.85, 0.95}, "other": {0.65, 0.85}} {
		if share := float64(right[kind]) / float64(all[kind]); share < within[0] || share > within[1] {
			t.Errorf("%s: %.3f of the answers are true, want %v", kind, share, within)
		}
	}
}

// truths returns the true answers to questions, without articles and with digits.
func truths(questions []scene.QA) map[string]string {
	plain := strings.NewReplacer(" an ", " ", " a ", " ", " one", " 1", " two", " 2", " three", " 3", " four", " 4")
	out := map[string]string{}
	for _, q := range questions {
		out[q.Question] = strings.TrimSpace(plain.Replace(" " + q.Answer))
	}
	return out
}

func extractBenchmarks(t *testing.T, cache string) string {
	t.Helper()
	dir, err := ExtractBenchmarks(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
