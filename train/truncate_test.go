package train_test

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/data"
)

// A caption that is longer than a language model reads is cut at a word; the run goes on.
func TestLongTextsAreCut(t *testing.T) {
	lm, err := opt.Family().OpenLanguage(t.Context(), &adapters.LoadRequest{Checkpoint: models("tiny-opt"), Backend: "go"})
	if err != nil {
		t.Fatal(err)
	}
	defer lm.Close()
	plan := stage2(1)
	plan.MaxTextTokens, plan.Phases[0].Mix.Questions = 12, 0
	s := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir())
	long := strings.TrimSpace(strings.Repeat("a dog left of an apple ", 60))
	s.Train = edit(s.Train, func(_ int, r *data.Record) { r.Captions = []string{long} })
	s.Eval = edit(s.Eval, func(_ int, r *data.Record) { r.Captions = []string{long} })
	model := &listening{LanguageModel: lm}
	s.Language = model
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, req := range model.asked {
		for _, e := range req.Examples {
			counts, err := model.CountTokens(t.Context(), []string{strings.TrimSpace(e.Target)})
			if err != nil {
				t.Fatal(err)
			}
			if n := counts[0] + 1; n > 12 || n < 9 || !strings.HasPrefix(" "+long, e.Target) {
				t.Fatalf("the target %q has %d tokens with its end, want the beginning of the caption in at most 12", e.Target, n)
			}
		}
	}
}
