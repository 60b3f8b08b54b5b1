package cost_test

import (
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/train/cost"
)

func TestPlusAddsEveryField(t *testing.T) {
	var one, two cost.Count
	a, b := reflect.ValueOf(&one).Elem(), reflect.ValueOf(&two).Elem()
	for i := range a.NumField() {
		a.Field(i).SetInt(int64(i + 1))
		b.Field(i).SetInt(100)
	}
	sum := reflect.ValueOf(one.Plus(two))
	for i := range sum.NumField() {
		if got, want := sum.Field(i).Int(), int64(i+101); got != want {
			t.Errorf("%s: got %d, want %d", sum.Type().Field(i).Name, got, want)
		}
	}
}

func TestSecondsAreCountsTimesPrices(t *testing.T) {
	c := cost.Count{Steps: 2, LanguagePasses: 30, LanguageForwards: 5, GeneratedTokens: 7, QFormerPasses: 30, PicturesEncoded: 4, PicturesCached: 6}
	p := cost.Prices{Step: 1, LanguagePass: 0.5, LanguageForward: 0.25, GeneratedToken: 0.125, QFormerPass: 2, PictureEncoded: 3}
	const want = 2 + 15 + 1.25 + 0.875 + 60
	if got := c.Seconds(p, false); got != want+12 {
		t.Errorf("got %v, want %v", got, want+12)
	}
	if got := c.Seconds(p, true); got != want+30 {
		t.Errorf("with an empty cache: got %v, want %v", got, want+30)
	}
}

func TestPhasesKeepTheirCounts(t *testing.T) {
	var m cost.Meter
	leave := m.Enter("a")
	m.Add(cost.Count{Steps: 1})
	inner := m.Enter(cost.Evaluation)
	m.Add(cost.Count{LanguageForwards: 5})
	inner()
	m.Add(cost.Count{Steps: 1})
	leave()
	l := m.Ledger()
	if got := l.Of("a").Steps; got != 2 {
		t.Errorf("phase a: got %d steps, want 2", got)
	}
	if got := l.Training(); got != (cost.Count{Steps: 2}) {
		t.Errorf("training: got %+v, want the steps alone", got)
	}
	if got := l.Total(); got != (cost.Count{Steps: 2, LanguageForwards: 5}) {
		t.Errorf("total: got %+v", got)
	}
}

func TestCountedModelsAreTheModels(t *testing.T) {
	var m cost.Meter
	lm := adaptertest.NewFakeLanguage("fake", 3)
	counted := m.Language(lm)
	if !reflect.DeepEqual(counted.Spec(), lm.Spec()) {
		t.Errorf("spec: got %+v, want %+v", counted.Spec(), lm.Spec())
	}
	req := &adapters.LossRequest{Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("a")}, Target: "b"}}}
	if _, err := counted.Loss(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if got := m.Ledger().Total(); got != (cost.Count{LanguageForwards: 1}) {
		t.Errorf("got %+v, want one forward pass", got)
	}
	plain := m.Language(struct{ adapters.LanguageModel }{lm}) // without the optional methods
	if _, ok := adapters.AsTokenCounter(plain); ok {
		t.Error("a model that cannot count tokens can when it is counted")
	}
	if m.Language(nil) != nil {
		t.Error("no model became one")
	}
}
