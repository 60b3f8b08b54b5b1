package score

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// file writes a file and returns its path. A name that ends in .gz is compressed.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !strings.HasSuffix(name, ".gz") {
		_, err = f.WriteString(text)
	} else {
		z := gzip.NewWriter(f)
		if _, err = z.Write([]byte(text)); err == nil {
			err = z.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// mustScore scores, and returns the result as JSON.
func mustScore(t *testing.T, kind string, o Options) map[string]any {
	t.Helper()
	r, err := Score(t.Context(), kind, o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

// at returns a number of an object by its keys, separated by "|".
func at(t *testing.T, object map[string]any, keys string) float64 {
	t.Helper()
	var v any = object
	for key := range strings.SplitSeq(keys, "|") {
		m, ok := v.(map[string]any)
		if !ok || m[key] == nil {
			t.Fatalf("no %s in %v", keys, object)
		}
		v = m[key]
	}
	return v.(float64)
}

func mustBe(t *testing.T, object map[string]any, keys string, want float64) {
	t.Helper()
	if got := at(t, object, keys); !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("%s is %v, want %v", keys, got, want)
	}
}

const vqaAnnotations = `{"info": {}, "annotations": [
 {"question_id": 1, "question_type": "what", "answer_type": "other", "answers": [{"answer": "red", "answer_id": 1}, {"answer": "red"}, {"answer": "Red."}, {"answer": "blue"}]},
 {"question_id": 2, "question_type": "is", "answer_type": "yes/no", "answers": [{"answer": "yes"}, {"answer": "yes"}, {"answer": "yes"}, {"answer": "yes"}]},
 {"question_id": 3, "question_type": "is", "answer_type": "yes/no", "answers": [{"answer": "no"}, {"answer": "no"}, {"answer": "no"}, {"answer": "no"}]}]}`

const vqaQuestions = `{"questions": [{"question_id": 3, "question": "?", "image_id": 1}, {"question_id": 1, "question": "?"}, {"question_id": 2, "question": "?"}]}`

func TestVQA(t *testing.T) {
	o := Options{
		Predictions: file(t, "p.json", `[{"question_id": 3, "answer": "No"}, {"question_id": 1, "answer": "red", "more": 1}, {"question_id": 2, "answer": "yes"}]`),
		Annotations: file(t, "a.json.gz", vqaAnnotations), Questions: file(t, "q.json", vqaQuestions),
	}
	red := 100 * (3*2.0/3 + 1) / 4 // three of four, each left out once
	got := mustScore(t, VQA, o)
	mustBe(t, got, "value", (red+100)/3)
	mustBe(t, got, "n", 3)
	mustBe(t, got, "by_answer_type|yes/no|value", 50)
	mustBe(t, got, "by_question_type|what|value", red)
	mustBe(t, got, "by_question_type|is|n", 2)
	if got["variant"] != "official" || got["task"] != "vqa" {
		t.Errorf("%v", got)
	}
	o.Variant = "always"
	mustBe(t, mustScore(t, VQA, o), "value", (red+200)/3)
}

// The means of all variants on VizWiz are those of its scorers, through files as they are.
func TestVQAOfTheWholeSets(t *testing.T) {
	var want map[string]struct{ Value float64 }
	testenv.ReadJSON(t, testenv.Data(t, "vqa_scores.json.gz"), &want)
	for name, w := range want {
		set, variant, _ := strings.Cut(name, "/")
		got := mustScore(t, VQA, Options{Variant: variant, Predictions: testenv.Data(t, set+"_predictions.json.gz"),
			Annotations: testenv.Data(t, set+"_val_annotations.json.gz"), Questions: testenv.Data(t, set+"_val_questions.json.gz")})
		mustBe(t, got, "value", w.Value)
		interval := got["intervals"].(map[string]any)["value"].([]any)
		if low, high := interval[0].(float64), interval[1].(float64); !(low < w.Value && w.Value < high && high-low < 3.5) {
			t.Errorf("%s: the interval of %v is %v", name, w.Value, interval)
		}
	}
}

func TestMissingExtraAndDuplicatePredictions(t *testing.T) {
	o := Options{
		Predictions: file(t, "p.json", "{\"question_id\": 1, \"answer\": \"red\"}\n{\"question_id\": 9, \"answer\": \"x\"}\n{\"question_id\": 1, \"answer\": \"red\"}\n"),
		Annotations: file(t, "a.json", vqaAnnotations),
	}
	if _, err := Score(t.Context(), VQA, o); err == nil || !strings.Contains(err.Error(), "2 of 3 predictions are missing: 2, 3 (--allow-missing counts them 0)") {
		t.Errorf("%v", err)
	}
	o.AllowMissing = true
	got := mustScore(t, VQA, o)
	mustBe(t, got, "value", 75.0/3)
	mustBe(t, got, "missing", 2)
	mustBe(t, got, "extra", 1)
	mustBe(t, got, "duplicates", 1)
	r, err := Score(t.Context(), VQA, o)
	if err != nil || len(r.Counts.Notes) != 3 || !strings.Contains(r.Counts.Notes[2], "1 predictions belong to no question and are ignored: 9") {
		t.Errorf("%v, %q", err, r.Counts.Notes)
	}
}

// Ids of the other kind are no missing predictions: that they count 0 would hide the mistake.
func TestIDsOfAnotherKindAreNeverCountedZero(t *testing.T) {
	for predictions, want := range map[string]string{
		`[{"question_id": "1", "answer": "a"}, {"question_id": "2", "answer": "a"}, {"question_id": "3", "answer": "a"}]`: `3 predictions have ids of another kind: the file has "1" as an id, the questions have 1`,
		`[{"question_id": 1, "answer": "a"}, {"question_id": "2", "answer": "a"}, {"question_id": 3, "answer": "a"}]`:     `1 predictions have ids of another kind: the file has "2" as an id, the questions have 2`,
	} {
		for _, allow := range []bool{false, true} {
			_, err := Score(t.Context(), VQA, Options{Predictions: file(t, "p.json", predictions), Annotations: file(t, "a.json", vqaAnnotations), AllowMissing: allow})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %v: %v, want %q", predictions, allow, err, want)
			}
		}
	}
}

// A file with one answer a question is scored by the official rule, 0, but not without a word.
func TestTooFewAnswersAreNamed(t *testing.T) {
	o := Options{
		Predictions: file(t, "p.json", `[{"question_id": 1, "answer": "red"}, {"question_id": 2, "answer": "yes"}]`),
		Annotations: file(t, "a.json", `{"annotations": [{"question_id": 1, "answers": [{"answer": "red"}]},
 {"question_id": 2, "answers": [{"answer": "yes"}, {"answer": "yes"}, {"answer": "yes"}, {"answer": "yes"}]}]}`),
	}
	o.Against = o.Predictions
	r, err := Score(t.Context(), VQA, o)
	if err != nil || len(r.Counts.Notes) != 1 || !strings.Contains(r.Counts.Notes[0], "a.json: 1 questions have fewer than 4 answers, so that no prediction can get 100 %: 1") {
		t.Fatalf("%v, %q", err, r.Counts.Notes)
	}
	mustBe(t, mustScore(t, VQA, o), "value", 50)
}

// Each wrong file is an error that names the file, the place and what is wanted.
func TestWrongFilesAreNamed(t *testing.T) {
	good := `[{"question_id": 1, "answer": "a"}, {"question_id": 2, "answer": "a"}, {"question_id": 3, "answer": "a"}]`
	for name, c := range map[string]struct {
		predictions, annotations, questions string
		want                                []string
	}{
		"no answer":          {`[{"question_id": 1, "answer": "a"}, {"question_id": 2}]`, vqaAnnotations, "", []string{"entry 1 has no answer", `{"question_id": …, "answer": "…"}`}},
		"no id":              {`[{"answer": "a"}]`, vqaAnnotations, "", []string{"entry 0 has no question_id"}},
		"a number":           {`[{"question_id": 1, "answer": "a"}, {"question_id": 2, "answer": 3}]`, vqaAnnotations, "", []string{"entry 1", "answer: got a number, want a text"}},
		"a fraction":         {`[{"question_id": 1.5, "answer": "a"}]`, vqaAnnotations, "", []string{"an id is 1.5, want a whole number or a text"}},
		"two answers":        {`[{"question_id": 1, "answer": "a"}, {"question_id": 1, "answer": "b"}]`, vqaAnnotations, "", []string{"question_id 1 has two predictions", `"a" and "b"`}},
		"ids are texts":      {strings.NewReplacer(": 1", `: "1"`, ": 2", `: "2"`, ": 3", `: "3"`).Replace(good), vqaAnnotations, "", []string{`the file has "1" as an id, the questions have 1`}},
		"an object of lines": {"{\"question_id\": 1, \"answer\": \"a\"}\n{\"question_id\": }\n", vqaAnnotations, "", []string{"line 2"}},
		"a text":             {`"x"`, vqaAnnotations, "", []string{"begins with", "want a list"}},
		"not UTF-8":          {"[{\"question_id\": 1, \"answer\": \"caf\xe9\"}]", vqaAnnotations, "", []string{"p.json is not text in UTF-8: byte 34 is 0xe9", "write the file in UTF-8"}},
		"NaN":                {`[{"question_id": 1, "answer": "a", "score": NaN}]`, vqaAnnotations, "", []string{"entry 0, score: not valid JSON", "JSON has no NaN and no Infinity, which Python writes: write null"}},
		"UTF-16":             {"\xff\xfe[\x00]\x00", vqaAnnotations, "", []string{"p.json is not text in UTF-8: byte 0 is 0xff"}},
		"a list of answers":  {good, `[{"question_id": 1}]`, "", []string{"a.json: got a list, want an object", `want {"annotations": [`}},
		"no questions":       {good, vqaAnnotations, `{"annotations": []}`, []string{"q.json has no questions", `want {"questions": [`}},
		"no entries":         {"[]", vqaAnnotations, "", []string{"has no predictions, want 3 (--allow-missing"}},
		"empty":              {" ", vqaAnnotations, "", []string{"is empty"}},
		"cut off":            {`[{"question_id": 1`, vqaAnnotations, "", []string{"not valid JSON"}},
		"no annotations":     {good, `{"questions": []}`, "", []string{"has no annotations"}},
		"no answers":         {good, `{"annotations": [{"question_id": 1, "answers": []}]}`, "", []string{"annotation 0 has no answers"}},
		"no answer of one":   {good, `{"annotations": [{"question_id": 1, "answers": [{"answer_id": 1}]}]}`, "", []string{"annotation 0 has no answer in one"}},
		"a question twice":   {good, `{"annotations": [{"question_id": 1, "answers": [{"answer": ""}]}, {"question_id": 1, "answers": [{"answer": ""}]}]}`, "", []string{"two entries with question_id 1"}},
		"other questions":    {good, vqaAnnotations, `{"questions": [{"question_id": 1}, {"question_id": 2}]}`, []string{"has question 3, which", "lacks"}},
		"no question id":     {good, vqaAnnotations, `{"questions": [{"question": "?"}]}`, []string{"question 0 has no question_id"}},
	} {
		o := Options{Predictions: file(t, "p.json", c.predictions), Annotations: file(t, "a.json", c.annotations)}
		if c.questions != "" {
			o.Questions = file(t, "q.json", c.questions)
		}
		_, err := Score(t.Context(), VQA, o)
		for _, want := range append(c.want, ".json") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	if _, err := Score(t.Context(), VQA, Options{Predictions: "none.json", Annotations: "none.json"}); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "there is no file none.json") {
		t.Errorf("%v", err)
	}
	if _, err := Score(t.Context(), VQA, Options{Variant: "offical"}); err == nil || !strings.Contains(err.Error(), "did you mean official?") {
		t.Errorf("%v", err)
	}
	folder := filepath.Dir(file(t, "a.json", vqaAnnotations))
	if _, err := Score(t.Context(), VQA, Options{Predictions: folder, Annotations: filepath.Join(folder, "a.json")}); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("%v", err)
	}
	damaged := file(t, "p.json", "\x1f\x8bnot")
	if _, err := Score(t.Context(), VQA, Options{Predictions: damaged, Annotations: damaged}); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("%v", err)
	}
}

// Another model on the same questions: the difference, its interval and the p-value.
func TestAgainst(t *testing.T) {
	o := Options{
		Predictions:  file(t, "p.json", `[{"question_id": 1, "answer": "red"}, {"question_id": 2, "answer": "yes"}, {"question_id": 3, "answer": "no"}]`),
		Against:      file(t, "o.json", `[{"question_id": 1, "answer": "x"}, {"question_id": 2, "answer": "yes"}, {"question_id": 7, "answer": "no"}]`),
		Annotations:  file(t, "a.json", vqaAnnotations),
		AllowMissing: true,
	}
	got := mustScore(t, VQA, o)
	mustBe(t, got, "against|value|value", 100.0/3)
	mustBe(t, got, "against|value|difference", 175.0/3)
	if p := at(t, got, "against|value|p"); p <= 0 || p > 1 {
		t.Errorf("p %v", p)
	}
	r, err := Score(t.Context(), VQA, o)
	if err != nil || len(r.Counts.Notes) != 2 || !strings.Contains(r.Counts.Notes[0], "o.json: 1 predictions are missing") {
		t.Errorf("%v, %q", err, r.Counts.Notes)
	}
}
