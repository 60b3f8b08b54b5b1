package score

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

const twoQuestions = `{"annotations": [
 {"question_id": 1, "answers": [{"answer": "red"}, {"answer": "red"}, {"answer": "red"}, {"answer": "red"}]},
 {"question_id": 2, "answers": [{"answer": "no"}, {"answer": "no"}, {"answer": "no"}, {"answer": "no"}]}]}`

// Files of other programs are read if they name their questions.
func TestLayoutsOfOtherPrograms(t *testing.T) {
	annotations := file(t, "annotations.json", twoQuestions)
	for name, text := range map[string]string{
		"LLaVA": `{"question_id": 1, "prompt": "what color is it?", "text": "red", "answer_id": "x", "model_id": "llava-v1.5-7b", "metadata": {}}
{"question_id": 2, "prompt": "is it?", "text": "yes", "answer_id": "y", "model_id": "llava-v1.5-7b", "metadata": {}}`,
		"LAVIS": `[{"question_id": 1, "pred_ans": "red", "gt_ans": "red"}, {"question_id": 2, "pred_ans": "yes", "gt_ans": "no"}]`,
		"lmms-eval": `{"doc_id": 0, "target": "red", "filtered_resps": "red", "exact_match": 1.0, "submission": {"question_id": 1, "answer": "red"}, "input": "?"}
{"doc_id": 1, "target": "no", "filtered_resps": ["yes"], "exact_match": 0.0, "submission": {"question_id": 2, "answer": "yes"}, "input": "?"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := mustScore(t, VQA, Options{Predictions: file(t, "p.jsonl", text), Annotations: annotations})
			mustBe(t, got, "value", 50)
			mustBe(t, got, "n", 2)
		})
	}
	questions := file(t, "q.json", `{"1": {"answer": "red", "types": {}}, "2": {"answer": "no", "types": {}}}`)
	got := mustScore(t, GQA, Options{Predictions: file(t, "p.json", `[{"question_id": "1", "pred_ans": "red", "gt_ans": "red"}, {"question_id": "2", "pred_ans": "yes", "gt_ans": "no"}]`), Questions: questions})
	mustBe(t, got, "value", 50)
	references := file(t, "r.json", `{"images": [{"id": 7}], "annotations": [{"image_id": 7, "caption": "a dog runs"}]}`)
	got = mustScore(t, Captions, Options{Predictions: file(t, "p.jsonl", `{"doc_id": 0, "filtered_resps": "a dog runs", "coco_CIDEr": {"answer": ["a dog runs"], "pred": "a dog runs", "image_id": 7, "id": 0}}`), References: references, Jars: "none"})
	mustBe(t, got, "rouge_l", 1)
}

// A file that does not say which question it answers, or where the text could be the question, is
// refused. The error has a command that converts it, and the converted file is scored.
func TestRecipesForOtherLayouts(t *testing.T) {
	vqa := Options{Annotations: file(t, "annotations.json", twoQuestions)}
	pope := Options{Annotations: file(t, "pope.json", `{"question_id": 1, "text": "Is there a dog in the image?", "label": "yes"}
{"question_id": 2, "text": "Is there a cat in the image?", "label": "no"}`)}
	gqa := Options{Questions: file(t, "q.json", `{"1": {"answer": "red", "types": {}}, "2": {"answer": "no", "types": {}}}`)}
	vizwiz := Options{Annotations: file(t, "v.json", `[{"image": "1.jpg", "answerable": 1}, {"image": "2.jpg", "answerable": 0}]`)}
	aokvqa := Options{Annotations: file(t, "a.json", `[{"question_id": "1", "choices": ["red"], "correct_choice_idx": 0, "direct_answers": ["red", "red", "red"]},
 {"question_id": "2", "choices": ["no"], "correct_choice_idx": 0, "direct_answers": ["no"]}]`)}
	for _, c := range []struct {
		name, kind string
		o          Options
		text, want string
		key        string
		value      float64
	}{
		{"lmms-eval's POPE", POPE, pope, `{"doc_id": 0, "filtered_resps": ["yes"], "pope_accuracy": {"question_id": "1", "score": 1.0, "prediction": "yes"}}
{"doc_id": 1, "filtered_resps": "yes", "pope_accuracy": {"question_id": "2", "score": 0.0, "prediction": "yes"}}`, "lmms-eval's samples", "accuracy", 50},
		{"lmms-eval's OK-VQA", VQA, vqa, `{"doc_id": 0, "filtered_resps": "red", "submission": {"image": "1.jpg", "answer": "red"}}
{"doc_id": 1, "filtered_resps": "yes", "submission": {"image": "2.jpg", "answer": "yes"}}`, "lmms-eval's samples", "value", 50},
		{"lmms-eval's VizWiz", Answerability, vizwiz, `{"doc_id": 0, "filtered_resps": "red", "submission": {"image": "1.jpg", "answer": "red"}}
{"doc_id": 1, "filtered_resps": "unanswerable", "submission": {"image": "2.jpg", "answer": "unanswerable"}}`, "lmms-eval's samples", "f1", 100},
		{"lmms-eval without ids", VQA, vqa, `{"doc_id": 0, "filtered_resps": "red", "exact_match": 1.0}
{"doc_id": 1, "filtered_resps": "yes", "exact_match": 0.0}`, "no id but doc_id", "value", 50},
		{"LLaVA's GQA", GQA, gqa, `{"question_id": 1, "text": "Red.", "model_id": "m"}
{"question_id": 2, "text": "Yes", "model_id": "m"}`, "LLaVA's own converter", "value", 50},
		{"LLaVA's VizWiz", Answerability, vizwiz, `{"question_id": "1.jpg", "text": "red", "model_id": "m"}
{"question_id": "2.jpg", "text": "unanswerable", "model_id": "m"}`, "LLaVA's answers", "f1", 100},
		{"a text that may be the question", VQA, vqa, `[{"question_id": 1, "image": "1.jpg", "text": "red"}, {"question_id": 2, "image": "1.jpg", "text": "yes"}]`, "Do it only if text is the answer", "value", 50},
		{"LAVIS's A-OKVQA", AOKVQA, aokvqa, `[{"question_id": "1", "pred_ans": "red", "gt_ans": ["red"]}, {"question_id": "2", "pred_ans": "yes", "gt_ans": ["no"]}]`, "LAVIS's results", "direct_answer", 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Predictions = file(t, "p.json", c.text)
			_, err := Score(t.Context(), c.kind, c.o)
			if err == nil || !strings.Contains(remedy(err), c.want) {
				t.Fatalf("got %v (%s), want %q", err, remedy(err), c.want)
			}
			c.o.Predictions = convert(t, remedy(err), c.o.Predictions)
			mustBe(t, mustScore(t, c.kind, c.o), c.key, c.value)
		})
	}
}

func remedy(err error) string {
	var e *adapters.Error
	if errors.As(err, &e) {
		return e.Remedy
	}
	return ""
}

// convert runs the jq command of a remedy on a file, and returns the new file.
func convert(t *testing.T, remedy, path string) string {
	t.Helper()
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("there is no jq")
	}
	_, command, _ := strings.Cut(remedy, "jq ")
	command, _, ok := strings.Cut(command, " FILE > NEW")
	if !ok {
		t.Fatalf("no command in %q", remedy)
	}
	if strings.Contains(remedy, "--slurpfile") {
		command = "--slurpfile ids ids.json " + command
	}
	dir := filepath.Dir(path)
	if err := os.WriteFile(filepath.Join(dir, "ids.json"), []byte("[1, 2]"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "jq "+command+` "$0"`, path)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("jq %s: %v: %s", command, err, out)
	}
	return file(t, "converted.json", string(out))
}
