package eval

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestMetricsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Metrics() {
		for _, name := range []string{m.Name, m.Series} {
			if name == "" || seen[name] {
				t.Errorf("%+v: the name %q is empty or stands twice", m, name)
			}
			seen[name] = true
		}
		if (m.Captions == nil) == (m.Value == nil) {
			t.Errorf("%s: want a function Captions or a function Value", m.Name)
		}
		if text := fmt.Sprintf(m.Format, 0.5); strings.Contains(text, "%!") || m.Title == "" || m.Column == "" || m.Unit == "" {
			t.Errorf("%s is shown as %q: %+v", m.Name, text, m)
		}
		if m.In(InCharts) && m.Better == Neither {
			t.Errorf("%s has a chart and no better direction", m.Name)
		}
	}
}

func TestResultsGiveTheirMetricsByName(t *testing.T) {
	r := Results{Grounding: &Grounding{Right: 1, Other: 2, None: 3}, Values: Values{MetricCIDErD: 0, "bleu_4": 0.25}}
	for name, want := range map[string]float64{MetricLoss: 1, "loss_other_picture": 2, "loss_no_picture": 3, MetricCIDErD: 0, "bleu_4": 0.25} {
		if got, ok := r.Value(name); !ok || got != want {
			t.Errorf("%s is %g, %v; want %g", name, got, ok, want)
		}
	}
	for _, name := range []string{MetricExactMatch, MetricTextR1, "nobody"} {
		if got, ok := r.Value(name); ok {
			t.Errorf("%s is %g, and was not measured", name, got)
		}
	}
	r = Results{Retrieval: &Retrieval{TextR1: 0.5, ImageR1: 0.75}}
	if v, ok := r.Value(MetricTextR1); !ok || v != 0.5 {
		t.Errorf("text R@1 is %g, %v", v, ok)
	}
	if _, ok := r.Value(MetricLoss); ok {
		t.Error("a loss that was not measured")
	}
}

func TestValuesStandInTheOrderOfTheTable(t *testing.T) {
	text, err := json.Marshal(Values{"zeta": 1, MetricCIDErD: 0.5, "alpha": 2, MetricExactMatch: 0.25})
	if want := `{"exact_match":0.25,"cider_d":0.5,"alpha":2,"zeta":1}`; err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
	if text, err := json.Marshal(Values(nil)); err != nil || string(text) != "{}" {
		t.Errorf("no values: %s, %v", text, err)
	}
}
