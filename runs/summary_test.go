package runs

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/eval"
)

// The keys of summary.json do not change, because other programs read them.
func TestSummaryInJSON(t *testing.T) {
	s := Summary{
		Name: "x", Stage: 2, Encoder: "tiny-vit", LLM: "tiny-opt", Trainable: 3, Steps: 4, Seconds: 5, Captions: 6,
		EvalData:  "kit:held-out 1234",
		Grounding: &eval.Grounding{Right: 1, Other: 2, None: 3},
		Values: eval.Values{eval.MetricLoss: 1, eval.MetricExactMatch: 0.5, eval.MetricCIDErD: 0.25,
			eval.MetricTextR1: 0.75, eval.MetricImageR1: 1},
	}
	text, err := json.Marshal(s)
	want := `{"name":"x","stage":2,"encoder":"tiny-vit","llm":"tiny-opt","trainable_parameters":3,"steps":4,"seconds":5,"captions":6,` +
		`"held_out_data":"kit:held-out 1234","grounding":{"right":1,"other":2,"none":3},` +
		`"held_out_loss":1,"exact_match":0.5,"cider_d":0.25,"text_r1":0.75,"image_r1":1}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
	var back Summary
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("read %+v, %v; wrote %+v", back, err, s)
	}
}

// Value returns every metric, from the values or from the grounding.
func TestSummaryValues(t *testing.T) {
	s := Summary{Grounding: &eval.Grounding{Right: 1, Other: 2, None: 3}, Values: eval.Values{eval.MetricExactMatch: 0.5}}
	for name, want := range map[string]float64{eval.MetricLoss: 1, "loss_other_picture": 2, eval.MetricExactMatch: 0.5} {
		m, ok := eval.MetricNamed(name)
		if got, measured := s.Value(m); !ok || !measured || got != want {
			t.Errorf("%s is %g, %v; want %g", name, got, measured, want)
		}
	}
	if m, _ := eval.MetricNamed(eval.MetricTextR1); m.Name == "" {
		t.Error("no metric for retrieval")
	} else if v, ok := s.Value(m); ok {
		t.Errorf("retrieval is %g, but it was not measured", v)
	}
	if got, want := len(s.Cells()), len(SummaryHeader()); got != want {
		t.Errorf("got %d cells for %d headings", got, want)
	}
}
