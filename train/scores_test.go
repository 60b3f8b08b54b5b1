package train_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/metrics"
	"github.com/modular-bridging/bridge/train/objective"
)

// Results and checkpoints of runs that ended long ago are read again.
func TestScoresKeepTheirJSON(t *testing.T) {
	for _, text := range []string{
		`{"step":0,"seconds":0}`,
		`{"step":7,"seconds":12.5,"grounding":{"right":1.5,"other":2,"none":2.25},"exact_match":0,"cider_d":0.4126403786270924,"captions":2,"exact_match_by_kind":{"pair":{"right":0,"of":2}}}`,
		`{"step":7,"seconds":12.5,"grounding":{"right":1.5,"other":2,"none":2.25}}`,
		`{"step":5,"seconds":3,"retrieval":{"pairs":8,"text_r1":0.125,"image_r1":0.25,"reranked":4,"text_r1_reranked":0.5,"image_r1_reranked":0.75}}`,
		`{"step":5,"seconds":3,"exact_match":1,"cider_d":10,"bleu_4":0.75,"captions":2}`,
	} {
		var s train.Scores
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := json.Marshal(s)
		if err != nil || string(again) != text {
			t.Errorf("%v: written as\n%s\nwant\n%s", err, again, text)
		}
	}
	var s train.Scores
	if err := json.Unmarshal([]byte(`{"step":7,"seconds":12.5,"exact_match":0.5,"captions":2,"later":{"key":1},"none":null}`), &s); err != nil {
		t.Fatal(err)
	}
	if v, ok := s.Value(eval.MetricExactMatch); !ok || v != 0.5 || s.Step != 7 || s.Seconds != 12.5 || s.Captions != 2 || len(s.Values) != 1 {
		t.Errorf("read as %+v", s)
	}
}

// A metric of captions is a row of the table: nothing else knows its name.
func TestAMetricIsARow(t *testing.T) {
	words := eval.Metric{Name: "words", Series: "held_out/words", Captions: func(got []string, references [][]string) float64 {
		if len(got) != 3 || len(references) != 3 || len(references[0]) == 0 {
			t.Errorf("%d captions with references %v", len(got), references)
		}
		return 2.5
	}}
	lm := fakeLanguage()
	plan, dir := onePhase(objective.PromptCaption(), 4), t.TempDir()
	plan.Evaluation = train.Evaluation{Every: 1, Examples: 4, Captions: 3}
	s := newSession(t, tinyFor(t, lm, 0), lm, plan, dir)
	s.EvalMetrics = append(eval.Metrics(), words)
	result, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range readMetric(t, dir, "held_out/words") {
		if v != 2.5 {
			t.Errorf("%s has %g", metrics.File, v)
		}
	}
	events, err := filepath.Glob(filepath.Join(dir, "events", "*"))
	if err != nil || len(events) != 1 {
		t.Fatalf("%v, %v", events, err)
	}
	if data, err := os.ReadFile(events[0]); err != nil || !strings.Contains(string(data), "held_out/words") {
		t.Errorf("TensorBoard's events lack the series (%v)", err)
	}
	if v, ok := result.Final.Value("words"); !ok || v != 2.5 {
		t.Errorf("the result has %g, %v", v, ok)
	}
	text, err := json.Marshal(result.Final)
	if err != nil || !strings.Contains(string(text), `,"words":2.5,"captions":3`) {
		t.Errorf("the result's JSON is %s, %v", text, err)
	}
}
