package objective_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/train/objective"
)

func TestObjectivesAreCompleteAndHaveTheirOwnNames(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range objective.All() {
		if err := o.Check(); err != nil {
			t.Error(err)
		}
		if seen[o.Name] {
			t.Errorf("two objectives are called %s", o.Name)
		}
		seen[o.Name] = true
		if found, ok := objective.ByName(o.Name); !ok || found.Name != o.Name {
			t.Errorf("%s is found as %v, %v", o, found, ok)
		}
	}
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	whole := objective.PromptCaption()
	for want, change := range map[string]func(*objective.Objective){
		"name":    func(o *objective.Objective) { o.Name = "" },
		"stage":   func(o *objective.Objective) { o.Stage = 3 },
		"Draw":    func(o *objective.Objective) { o.Draw = nil },
		"Example": func(o *objective.Objective) { o.EvalExample = nil },
	} {
		o := whole
		change(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", want, err)
		}
	}
}

// A swap to a language model of another architecture takes the objective with which that
// architecture is pretrained.
func TestForFindsTheCounterpartOfAnotherArchitecture(t *testing.T) {
	for _, c := range []struct {
		name string
		to   adapters.Architecture
		want string
	}{
		{"lm", adapters.EncoderDecoder, "prefix-lm"},
		{"lm", adapters.DecoderOnly, "lm"},
		{"prefix-lm", adapters.DecoderOnly, "lm"},
		{"prompt-caption", adapters.EncoderDecoder, "prompt-caption"},
	} {
		o, _ := objective.ByName(c.name)
		if got := o.For(c.to).Name; got != c.want {
			t.Errorf("%s for %s: %s, want %s", c.name, c.to, got, c.want)
		}
	}
	if got := objective.Names(2, adapters.DecoderOnly); !slices.Equal(got, []string{"prompt-caption", "lm"}) {
		t.Errorf("objectives for decoders are %v", got)
	}
	if got := objective.Names(1, ""); !slices.Equal(got, []string{"representation"}) {
		t.Errorf("objectives of stage 1 are %v", got)
	}
}

// A checkpoint names the objective of a plan, and no more.
func TestObjectiveIsItsNameInJSON(t *testing.T) {
	text, err := json.Marshal(objective.PrefixLM())
	if err != nil || string(text) != `"prefix-lm"` {
		t.Fatalf("%s, %v", text, err)
	}
	var o objective.Objective
	if err := json.Unmarshal(text, &o); err != nil || o.Name != "prefix-lm" {
		t.Errorf("read back as %q, %v", o.Name, err)
	}
}

func TestRecordsWithoutCaptionsAreAskedQuestions(t *testing.T) {
	questions := []data.QA{{Question: "what?", Answer: "a dog"}}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		if s := objective.CaptionOrQuestion(rng, data.Record{Questions: questions}, objective.Mix{}); s.Question == nil {
			t.Error("no question of a record without captions")
		}
		if s := objective.CaptionOrQuestion(rng, data.Record{Captions: []string{"a dog"}, Questions: questions}, objective.Mix{}); s.Caption != "a dog" {
			t.Errorf("drew %+v, want the caption", s)
		}
		if s := objective.CaptionOrQuestion(rng, data.Record{Captions: []string{"a dog"}}, objective.Mix{Questions: 1}); s.Caption != "a dog" {
			t.Errorf("drew %+v of a record without questions", s)
		}
	}
}

func TestWeightsOfZeroAreThePapers(t *testing.T) {
	if c := (objective.Weights{}).Losses(7); c.ITC != 1 || c.ITM != 1 || c.ITG != 1 || c.Begin != 7 {
		t.Errorf("no weights: %+v", c)
	}
	if c := (objective.Weights{ITC: 2}).Losses(7); c.ITC != 2 || c.ITM != 0 || c.ITG != 0 {
		t.Errorf("one weight: %+v", c)
	}
}
