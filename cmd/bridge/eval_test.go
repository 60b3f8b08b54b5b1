package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// evalFiles writes small files in VQA's and COCO's layouts, and returns their folder.
func evalFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"questions.json":   `{"questions": [{"question_id": 1, "question": "?", "image_id": 1}, {"question_id": 2, "question": "?", "image_id": 1}]}`,
		"annotations.json": `{"annotations": [{"question_id": 1, "answers": [{"answer": "red"}, {"answer": "red"}, {"answer": "red"}, {"answer": "a red"}]}, {"question_id": 2, "answers": [{"answer": "Yes"}]}]}`,
		"answers.json":     `[{"question_id": 1, "answer": "Red."}, {"question_id": 2, "answer": "no"}]`,
		"others.json":      `[{"question_id": 1, "answer": "blue"}, {"question_id": 2, "answer": "no"}, {"question_id": 3, "answer": "\u001b[31m"}]`,
		"few.json":         `[{"question_id": 1, "answer": "red"}]`,
		"references.json":  `{"images": [{"id": 1}, {"id": 2}], "annotations": [{"image_id": 1, "caption": "A dog runs on the beach."}, {"image_id": 2, "caption": "Two cats (on a sofa)"}]}`,
		"captions.json":    `[{"image_id": 1, "caption": "a dog runs on the beach"}, {"image_id": 2, "caption": "a cat"}]`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Cache(t) // without METEOR and SPICE
	return dir
}

func TestEvalScore(t *testing.T) {
	dir := evalFiles(t)
	vqa := []string{"eval", "score", "vqa", dir + "/answers.json", "--questions", dir + "/questions.json", "--annotations", dir + "/annotations.json"}
	stdout, stderr := mustExit(t, exitDone, append(vqa, "--json")...)
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got["value"] != 50.0 || got["n"] != 2.0 || got["variant"] != "official" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "fewer than 4 answers") {
		t.Errorf("%v, %s%s", err, stdout, stderr)
	}
	stdout, stderr = mustExit(t, exitDone, append(vqa, "--variant", "lavis", "--against", dir+"/others.json")...)
	for _, want := range []string{"vqa, variant lavis, n = 2", "37.50 %", "against " + dir + "/others.json", "difference"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "1 predictions belong to no question and are ignored: 3") {
		t.Errorf("stderr %s", stderr)
	}
	stdout, _ = mustExit(t, exitDone, "eval", "score", "captions", dir+"/captions.json", "--references", dir+"/references.json", "--json")
	got = nil
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d", "n", "not_computed"} {
		if got[key] == nil {
			t.Errorf("no %s in %s", key, stdout)
		}
	}
	stdout, _ = mustExit(t, exitDone, "eval", "score", "captions", dir+"/captions.json", "--references", dir+"/references.json", "--tokenizer", "none")
	if !strings.Contains(stdout, "meteor: METEOR is not installed") || !strings.Contains(stdout, "BLEU-4") {
		t.Errorf("%s", stdout)
	}
}

func TestEvalScoreRefuses(t *testing.T) {
	dir := evalFiles(t)
	for _, c := range []struct {
		status int
		args   []string
		want   string
	}{
		{exitFailed, []string{"vqa", dir + "/few.json", "--annotations", dir + "/annotations.json"}, "1 of 2 predictions are missing: 2"},
		{exitFailed, []string{"vqa", dir + "/captions.json", "--annotations", dir + "/annotations.json"}, "entry 0 has no question_id"},
		{exitFailed, []string{"vqa", dir + "/none.json", "--annotations", dir + "/annotations.json"}, "there is no file"},
		{exitFailed, []string{"vqa", dir + "/few.json", "--annotations", dir + "/annotations.json", "--variant", "lavi"}, "did you mean lavis?"},
		{exitFailed, []string{"captions", dir + "/captions.json", "--references", dir + "/references.json", "--metrics", "spice"}, "SPICE is not installed"},
		{exitUsage, []string{"vqa", dir + "/few.json"}, "eval score vqa needs --annotations FILE"},
		{exitUsage, []string{"vqa", "--annotations", "x"}, "want: bridge eval score vqa PREDICTIONS"},
		{exitUsage, []string{"vqav3", dir + "/few.json"}, "no command"},
		{exitUsage, nil, "score: missing command"},
	} {
		_, stderr := mustExit(t, c.status, append([]string{"eval", "score"}, c.args...)...)
		if !strings.Contains(stderr, c.want) {
			t.Errorf("%v: %s, want %q", c.args, stderr, c.want)
		}
	}
}
