package score

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit"
)

// The kit's benchmarks are files that the scorers of the official ones read. The answers of most
// annotators are right nearly always; the first captions are among the references.
func TestTheKitsBenchmarks(t *testing.T) {
	dir, err := kit.ExtractBenchmarks(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var annotations struct {
		Annotations []struct {
			ID     int    `json:"question_id"`
			Answer string `json:"multiple_choice_answer"`
		} `json:"annotations"`
	}
	testenv.ReadJSON(t, filepath.Join(dir, kit.BenchmarkAnnotations), &annotations)
	var answers []map[string]any
	for _, a := range annotations.Annotations {
		answers = append(answers, map[string]any{"question_id": a.ID, "answer": a.Answer})
	}
	for _, variant := range []string{"official", "lavis"} {
		got := mustScore(t, VQA, Options{Predictions: file(t, "answers.json", encoded(t, answers)), Variant: variant,
			Questions: filepath.Join(dir, kit.BenchmarkQuestions), Annotations: filepath.Join(dir, kit.BenchmarkAnnotations)})
		mustBe(t, got, "n", 457)
		if value := at(t, got, "value"); value < 99 || value == 100 {
			t.Errorf("%s: the answers of most annotators score %.2f, want nearly 100", variant, value)
		}
		for _, kind := range []string{"yes/no", "number", "other"} {
			at(t, got, "by_answer_type|"+kind+"|value")
		}
	}
	for _, name := range []string{kit.BenchmarkCaptions, kit.BenchmarkStyleCaptions} {
		references := filepath.Join(dir, name)
		var content struct {
			Annotations []struct {
				ImageID int    `json:"image_id"`
				Caption string `json:"caption"`
			} `json:"annotations"`
		}
		testenv.ReadJSON(t, references, &content)
		var captions []map[string]any
		for i, a := range content.Annotations {
			if i%5 == 0 {
				captions = append(captions, map[string]any{"image_id": a.ImageID, "caption": a.Caption})
			}
		}
		got := mustScore(t, Captions, Options{Predictions: file(t, "captions.json", encoded(t, captions)), References: references, Metrics: []string{"bleu", "rouge_l", "cider_d"}})
		mustBe(t, got, "bleu_1", 1)
		mustBe(t, got, "rouge_l", 1)
		mustBe(t, got, "n", 200)
		if value := at(t, got, "cider_d"); value < 3 || value > 10 {
			t.Errorf("%s: CIDEr-D of true captions is %g", name, value)
		}
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
