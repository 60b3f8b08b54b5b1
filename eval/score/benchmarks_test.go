package score

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npy"
	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/eval/metrics"
	"github.com/modular-bridging/bridge/internal/testenv"
)

const references = `{"images": [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}], "annotations": [
 {"image_id": 1, "caption": "A man riding a wave on top of a surfboard."}, {"image_id": 1, "caption": "A surfer rides a large wave (in the ocean)."}, {"image_id": 1, "caption": "the man's surfing!"},
 {"image_id": 2, "caption": "Two dogs are playing in the grass"}, {"image_id": 2, "caption": "A pair of dogs play on a lawn."}, {"image_id": 2, "caption": "two brown dogs chase a red frisbee"},
 {"image_id": 3, "caption": "A red double-decker bus parked on the street."}, {"image_id": 3, "caption": "There is a bus at the curb, near a sign."}, {"image_id": 3, "caption": "a bus"},
 {"image_id": 4, "caption": "A plate of food on a table"}, {"image_id": 4, "caption": "Plate with 2 eggs & toast"}, {"image_id": 4, "caption": "a breakfast of eggs, toast and coffee"}]}`

const captions = `[{"image_id": 4, "caption": "a plate of eggs and toast on a table"}, {"image_id": 1, "caption": "a man is riding a wave on a surfboard"},
 {"image_id": 2, "caption": "two dogs playing in the grass with a frisbee"}, {"image_id": 3, "caption": "a bus parked on the street"}]`

// The values are those of the official code, jar and all.
func TestCaptions(t *testing.T) {
	got := mustScore(t, Captions, Options{Predictions: file(t, "p.json", captions), References: file(t, "r.json", references), Jars: "none"})
	for key, want := range map[string]float64{
		"bleu_1": 0.9393939393370067, "bleu_2": 0.7845157708409471, "bleu_3": 0.6051113317195167, "bleu_4": 0.45324877454716245,
		"rouge_l": 0.8421948072891469, "cider_d": 2.233051002255908, "n": 4,
	} {
		mustBe(t, got, key, want)
	}
	if why := fmt.Sprint(got["not_computed"]); got["meteor"] != nil || got["spice"] != nil || !strings.Contains(why, "METEOR is not installed") || !strings.Contains(why, "SPICE is not installed") {
		t.Errorf("%v", got)
	}
}

func TestCaptionsOfTheWholeFile(t *testing.T) {
	var want struct{ Corpus map[string]float64 }
	testenv.ReadJSON(t, testenv.Data(t, "caption_golden.json.gz"), &want)
	got := mustScore(t, Captions, Options{Predictions: testenv.Data(t, "caption_predictions.json.gz"), References: testenv.Data(t, "caption_references.json.gz"), Jars: "none"})
	for key, value := range want.Corpus {
		if key != "meteor" {
			mustBe(t, got, key, value)
		}
	}
	mustBe(t, got, "n", 300)
}

// Texts that are tokenised are compared as they are; metrics that are asked for by name must be there.
func TestCaptionOptions(t *testing.T) {
	o := Options{Predictions: file(t, "p.json", captions), References: file(t, "r.json", references), Tokenizer: "none", Metrics: []string{"rouge_l"}, Jars: "none"}
	got := mustScore(t, Captions, o)
	if got["bleu_1"] != nil || got["tokenizer"] != "none" || at(t, got, "rouge_l") >= 0.84 {
		t.Errorf("%v", got)
	}
	for name, c := range map[string]struct {
		change func(o *Options)
		want   string
	}{
		"meteor":    {func(o *Options) { o.Metrics = []string{"meteor"} }, "METEOR is not installed"},
		"tokenizer": {func(o *Options) { o.Tokenizer = "ptbjar" }, "did you mean ptb-jar?"},
		"metric":    {func(o *Options) { o.Metrics = []string{"cider"} }, "did you mean cider_d?"},
		"jar":       {func(o *Options) { o.Tokenizer = "ptb-jar" }, "PTB tokenizer (Java) is not installed"},
		"no caption": {func(o *Options) {
			o.References = file(t, "r.json", `{"images": [{"id": 1}], "annotations": []}`)
		}, "image 1 has no caption"},
		"no pictures": {func(o *Options) {
			o.References = file(t, "r.json", `{"annotations": [{"image_id": 2, "caption": ""}]}`)
		}, `r.json has no images (want {"images": [`},
		"no picture": {func(o *Options) {
			o.References = file(t, "r.json", `{"images": [{"id": 1}], "annotations": [{"image_id": 2, "caption": ""}]}`)
		}, "is about image 2, which is not in images"},
		"missing": {func(o *Options) { o.Predictions = file(t, "p.json", `[{"image_id": 2, "caption": "a"}]`) }, "3 of 4 predictions are missing: 1, 3, 4"},
	} {
		changed := o
		c.change(&changed)
		if _, err := Score(t.Context(), Captions, changed); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestGQA(t *testing.T) {
	question := func(answer, structural, group string, balanced bool) string {
		return fmt.Sprintf(`{"answer": %q, "isBalanced": %v, "groups": {"global": %s}, "types": {"structural": %q, "semantic": "attr"}}`, answer, balanced, group, structural)
	}
	o := Options{
		Questions: file(t, "q.json", "{\"10\": "+question("yes", "verify", "null", true)+", \"11\": "+question("red", "query", `"color"`, true)+
			", \"12\": "+question("blue", "query", `"color"`, true)+", \"13\": "+question("x", "query", "null", false)+"}"),
		Predictions: file(t, "p.json", `[{"questionId": "10", "prediction": "Yes."}, {"questionId": "11", "prediction": "red"}, {"questionId": 12, "prediction": "red"}, {"questionId": "13", "prediction": "y"}]`),
	}
	got := mustScore(t, GQA, o)
	mustBe(t, got, "value", 100.0/3)
	mustBe(t, got, "n", 3)
	mustBe(t, got, "by_kind|open|value", 50)
	mustBe(t, got, "by_kind|binary|value", 0)
	mustBe(t, got, "by_structural|query|n", 2)
	mustBe(t, got, "distribution", 2) // red: (2-1)²/1, blue: (0-1)²/1
	o.Variant = "lavis"
	mustBe(t, mustScore(t, GQA, o), "value", 200.0/3)
}

// 1 and "1" are one question of GQA, and an id may hold quotation marks.
func TestGQAIDs(t *testing.T) {
	for predictions, want := range map[string]string{
		`[{"questionId": 1, "prediction": "red"}, {"questionId": "1", "prediction": "red"}, {"questionId": "\"a", "prediction": "x"}]`:  "",
		`[{"questionId": 1, "prediction": "red"}, {"questionId": "1", "prediction": "blue"}, {"questionId": "\"a", "prediction": "x"}]`: `question 1 has two predictions, "red" and "blue"`,
	} {
		o := Options{Questions: file(t, "q.json", `{"1": {"answer": "red"}, "\"a": {"answer": "y"}}`), Predictions: file(t, "p.json", predictions)}
		if want == "" {
			got := mustScore(t, GQA, o)
			mustBe(t, got, "value", 50)
			mustBe(t, got, "duplicates", 1)
			mustBe(t, got, "extra", 0)
		} else if _, err := Score(t.Context(), GQA, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", predictions, err, want)
		}
	}
}

// A figure that one of two compared files lacks is named.
func TestAgainstNamesWhatIsNotCompared(t *testing.T) {
	o := Options{
		Annotations: file(t, "a.json", `[{"question_id": "a", "choices": ["x", "y"], "correct_choice_idx": 1, "direct_answers": ["dog"]}]`),
		Predictions: file(t, "p.json", `{"a": {"multiple_choice": "y", "direct_answer": "dog"}}`),
		Against:     file(t, "o.json", `{"a": {"multiple_choice": "y"}}`),
	}
	for range 2 {
		r, err := Score(t.Context(), AOKVQA, o)
		if err != nil || len(r.Counts.Notes) != 1 || !strings.Contains(r.Counts.Notes[0], "direct answer is not compared: "+o.Predictions+" and "+o.Against) {
			t.Errorf("%v, %q", err, r.Counts.Notes)
		}
		o.Predictions, o.Against = o.Against, o.Predictions
	}
}

func TestAOKVQARefusesAQuestionTwice(t *testing.T) {
	const question = `{"question_id": "a", "choices": ["x", "y"], "correct_choice_idx": 1, "direct_answers": ["dog"]}`
	_, err := Score(t.Context(), AOKVQA, Options{
		Annotations: file(t, "a.json", "["+question+", "+question+"]"), Predictions: file(t, "p.json", `{"a": {"multiple_choice": "y"}}`),
	})
	if err == nil || !strings.Contains(err.Error(), "a.json has two entries with question_id a") {
		t.Errorf("%v", err)
	}
}

func TestAOKVQA(t *testing.T) {
	o := Options{
		Annotations: file(t, "a.json", `[{"question_id": "a", "choices": ["x", "y"], "correct_choice_idx": 1, "direct_answers": ["dog", "dog", "cat"], "difficult_direct_answer": false},
 {"question_id": "b", "choices": ["x", "y"], "correct_choice_idx": 0, "direct_answers": ["1"], "difficult_direct_answer": true}]`),
		Predictions: file(t, "p.json", `{"a": {"multiple_choice": "y", "direct_answer": "dog"}, "b": {"multiple_choice": "y"}, "c": {}}`),
	}
	got := mustScore(t, AOKVQA, o)
	mustBe(t, got, "multiple_choice", 50)
	mustBe(t, got, "direct_answer", 200.0/3)
	mustBe(t, got, "extra", 1)
	o.Predictions = file(t, "p.json", `{"a": {"multiple_choice": "y"}}`)
	if _, err := Score(t.Context(), AOKVQA, o); err == nil || !strings.Contains(err.Error(), "1 of 2 predictions of multiple_choice are missing: b") {
		t.Errorf("%v", err)
	}
	o.AllowMissing = true
	if got := mustScore(t, AOKVQA, o); got["direct_answer"] != nil || at(t, got, "multiple_choice") != 50 || at(t, got, "missing") != 1 {
		t.Errorf("%v", got)
	}
}

func TestAnswerability(t *testing.T) {
	got := mustScore(t, Answerability, Options{
		Annotations: file(t, "a.json", `[{"image": "1.jpg", "answerable": 0}, {"image": "2.jpg", "answerable": 1}, {"image": "3.jpg", "answerable": 0}, {"image": "4.jpg", "answerable": 1}]`),
		Predictions: file(t, "p.json", `[{"image": "1.jpg", "answer": "Unanswerable."}, {"image": "2.jpg", "answer": "unanswerable"}, {"image": "3.jpg", "answer": "a dog"}, {"image": "4.jpg", "answer": "x"}]`),
	})
	mustBe(t, got, "f1", 50)
	mustBe(t, got, "average_precision", 100*(0.5*0.5+0.5*0.5)) // scikit-learn: precision 1/2 up to recall 1/2, 1/2 up to 1
}

func TestPOPE(t *testing.T) {
	questions := "{\"question_id\": 1, \"text\": \"?\", \"label\": \"yes\"}\n{\"question_id\": 2, \"label\": \"no\"}\n{\"question_id\": 3, \"label\": \"yes\"}\n{\"question_id\": 4, \"label\": \"no\"}\n"
	for name, predictions := range map[string]string{
		"with ids":      `[{"question_id": 2, "answer": "yes"}, {"question_id": 1, "answer": "Yes, there is."}, {"question_id": 3, "answer": "No."}, {"question_id": 4, "answer": "no"}]`,
		"LLaVA's lines": "{\"question_id\": 2, \"text\": \"yes\"}\n{\"question_id\": 1, \"text\": \"yes\"}\n{\"question_id\": 3, \"text\": \"not\"}\n{\"question_id\": 4, \"text\": \"no\"}",
		"in order":      "{\"question\": \"?\", \"answer\": \"yes\"}\n{\"answer\": \"yes\"}\n{\"answer\": \"no\"}\n{\"answer\": \"no\"}\n",
	} {
		got := mustScore(t, POPE, Options{Annotations: file(t, "a.jsonl", questions), Predictions: file(t, "p.json", predictions)})
		for _, key := range []string{"accuracy", "precision", "recall", "f1", "yes_ratio"} {
			mustBe(t, got, key, 50)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	_, err := Score(t.Context(), POPE, Options{Annotations: file(t, "a.jsonl", questions), Predictions: file(t, "p.json", `[{"answer": "yes"}]`)})
	if err == nil || !strings.Contains(err.Error(), "1 answers without question_id for 4 questions") {
		t.Errorf("%v", err)
	}
}

// POPE's own files have the question under text. Such a file, with or without answers under
// another key, is no file of answers.
func TestPOPERefusesQuestionsAsAnswers(t *testing.T) {
	const questions = `{"question_id": 1, "text": "Is there a dog?", "label": "yes"}`
	for _, predictions := range []string{questions, `{"question_id": 1, "text": "Is there a dog?", "response": "no"}`} {
		_, err := Score(t.Context(), POPE, Options{Annotations: file(t, "a.jsonl", questions), Predictions: file(t, "p.jsonl", predictions)})
		if err == nil || !strings.Contains(err.Error(), `text of question 1 is the question "Is there a dog?", not an answer (give the answer under answer)`) {
			t.Errorf("%s: %v", predictions, err)
		}
	}
}

// A model that always answers yes is right in half of POPE's questions.
func TestPOPEOfTheWholeFiles(t *testing.T) {
	for _, name := range []string{"random", "popular", "adversarial"} {
		path := testenv.Data(t, "coco_pope_"+name+".jsonl.gz")
		lines := strings.Repeat("{\"answer\": \"yes\"}\n", strings.Count(string(testenv.ReadAll(t, path)), "question_id"))
		got := mustScore(t, POPE, Options{Annotations: path, Predictions: file(t, "p.jsonl", lines)})
		mustBe(t, got, "accuracy", 50)
		mustBe(t, got, "recall", 100)
		mustBe(t, got, "yes_ratio", 100)
		mustBe(t, got, "f1", 200.0/3)
		mustBe(t, got, "n", 3000)
	}
}

// A folder without a single category is another folder, which --allow-missing must not score 0.
func TestMMERefusesOtherFolders(t *testing.T) {
	for path, want := range map[string]string{
		filepath.Join(t.TempDir(), "none"): "there is no folder",
		file(t, "p.json", "[]"):            "there is no folder",
		t.TempDir():                        "has no file of a category of MME",
	} {
		if _, err := Score(t.Context(), MME, Options{Predictions: path, AllowMissing: true}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestMME(t *testing.T) {
	dir := t.TempDir()
	for _, name := range append(metrics.MMEPerception(), metrics.MMECognition()...) {
		text := "1.jpg\tIs it?\tYes\tyes\n1.jpg\tIs it not?\tNo\tNo.\n2.jpg\tIs it?\tYes\tmaybe\n2.jpg\tIs it?\tNo\tno\n"
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := mustScore(t, MME, Options{Predictions: dir})
	mustBe(t, got, "perception", 1250)
	mustBe(t, got, "cognition", 500)
	mustBe(t, got, "by_category|OCR|value", 125)
	mustBe(t, got, "n", 56)
	if err := os.Remove(filepath.Join(dir, "color.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := Score(t.Context(), MME, Options{Predictions: dir}); err == nil || !strings.Contains(err.Error(), "has no file color.txt") {
		t.Errorf("%v", err)
	}
	got = mustScore(t, MME, Options{Predictions: dir, AllowMissing: true})
	mustBe(t, got, "perception", 1125)
	mustBe(t, got, "missing", 1)
	if err := os.WriteFile(filepath.Join(dir, "color.txt"), []byte("1.jpg\tIs it?\tYes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Score(t.Context(), MME, Options{Predictions: dir}); err == nil || !strings.Contains(err.Error(), "color.txt: line 1 is not picture") {
		t.Errorf("%v", err)
	}
}

func TestScienceQA(t *testing.T) {
	o := Options{
		Questions: file(t, "q.json", `{"1": {"choices": ["a", "b"], "answer": 1, "image": "image.png", "subject": "natural science"},
 "2": {"choices": ["a", "b", "c"], "answer": 2, "image": null, "subject": "language science"}, "3": {"choices": ["a"], "answer": 0, "image": null}}`),
		Splits: file(t, "s.json", `{"test": ["1", "2"], "val": ["3"]}`), Split: "test",
		Predictions: file(t, "p.jsonl", "{\"question_id\": \"1\", \"answer\": \"B. b\"}\n{\"question_id\": 2, \"answer\": \"A\"}\n"),
	}
	got := mustScore(t, ScienceQA, o)
	mustBe(t, got, "value", 50)
	mustBe(t, got, "by_picture|with|value", 100)
	mustBe(t, got, "by_picture|without|value", 0)
	mustBe(t, got, "by_subject|language science|n", 1)
	o.Split = "train"
	if _, err := Score(t.Context(), ScienceQA, o); err == nil || !strings.Contains(err.Error(), `has no split "train"`) {
		t.Errorf("%v", err)
	}
}

// matrix writes a matrix as NumPy does.
func matrix(t *testing.T, rows, columns int, values ...float64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.npy")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := npy.Write(f, mat.NewDense(rows, columns, values)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRetrieval(t *testing.T) {
	o := Options{
		Annotations: file(t, "a.json", `[{"image": "1.jpg", "caption": ["a", "b"]}, {"image": "2.jpg", "caption": ["c"]}]`),
		Predictions: matrix(t, 2, 3, .9, .1, .5, .5, .2, .5), // the second picture's caption ties with the first caption
	}
	got := mustScore(t, Retrieval, o)
	mustBe(t, got, "text_r1", 50)
	mustBe(t, got, "text_r5", 100)
	mustBe(t, got, "image_r1", 100.0/3) // caption b prefers picture 2, caption c ties
	mustBe(t, got, "image_r10", 100)
	o.TextScores = matrix(t, 3, 2, 1, 0, 1, 0, 0, 1)
	mustBe(t, mustScore(t, Retrieval, o), "image_r1", 100)
	o.TextScores = o.Predictions
	if _, err := Score(t.Context(), Retrieval, o); err == nil || !strings.Contains(err.Error(), "has shape [2 3], want [3 2]: texts, pictures") {
		t.Errorf("%v", err)
	}
	o.Predictions = matrix(t, 2, 3, .9, .1, .5, .5, math.NaN(), .5)
	if _, err := Score(t.Context(), Retrieval, o); err == nil || !strings.Contains(err.Error(), "is NaN at [1 1] (pictures, texts from 0)") {
		t.Errorf("%v", err)
	}
	o.Predictions = file(t, "m.npy", "x")
	if _, err := Score(t.Context(), Retrieval, o); err == nil || !strings.Contains(err.Error(), "is not a matrix of NumPy") {
		t.Errorf("%v", err)
	}
}

// NumPy writes matrices of 32- and 64-bit floats in two orders.
func TestRetrievalReadsNumPysMatrices(t *testing.T) {
	annotations := file(t, "a.json", `[{"image": "1.jpg", "caption": ["a", "b"]}, {"image": "2.jpg", "caption": ["c"]}]`)
	for _, name := range []string{"f4", "f8", "fortran"} { // tools/reference/scores.py
		got := mustScore(t, Retrieval, Options{Annotations: annotations, Predictions: "testdata/" + name + ".npy"})
		mustBe(t, got, "text_r1", 50)
		mustBe(t, got, "image_r1", 100.0/3)
	}
	_, err := Score(t.Context(), Retrieval, Options{Annotations: annotations, Predictions: "testdata/i8.npy"})
	if err == nil || !strings.Contains(err.Error(), `values of type "i8", want float32 or float64`) {
		t.Errorf("%v", err)
	}
}
