package lmtest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// rows runs the conformance cases of what a server needs, and what they cannot know of every
// adapter: rows with different numbers of beams, stop texts of a beam search, refusals.
func rows(t *testing.T, model adapters.LanguageModel) {
	for _, c := range adaptertest.Language(adaptertest.Options{}) {
		if slices.Contains([]string{
			"capabilities", "generation: options of each example", "generation: rows that are no rows", "generation: stop texts",
			"generation: log-probabilities", "generation: a canceled example", "generation: counts of input tokens",
		}, c.Name) {
			t.Run(c.Name, func(t *testing.T) {
				c.Run(t, adaptertest.Subject[adapters.LanguageModel]{Model: model, Another: func(context.Context) (adapters.LanguageModel, error) {
					return nil, errors.New("no case of these opens the model again")
				}})
			})
		}
	}
	t.Run("beams beside greedy rows", func(t *testing.T) { mixedBeams(t, model) })
	t.Run("a beam search ends at a stop text", func(t *testing.T) { stoppedBeams(t, model) })
	t.Run("what is refused", func(t *testing.T) { refusedRows(t, model) })
}

func mixedBeams(t *testing.T, model adapters.LanguageModel) {
	all := generateRequest(model, 6, adapters.GenerateOptions{})
	all.Rows = []adapters.GenerateOptions{
		{MaxNewTokens: 5}, {NumBeams: 3, MaxNewTokens: 5}, {Sample: true, Seed: 3, MaxNewTokens: 7}, {NumBeams: 2, MaxNewTokens: 4},
		{RepetitionPenalty: 1.4, MinNewTokens: 4}, {NumBeams: 3, MaxNewTokens: 9, MinNewTokens: 9},
	}
	got := streamed(t, model, all)
	for i := range all.Examples {
		one := *all
		one.Examples, one.Rows = all.Examples[i:i+1], all.Rows[i:i+1]
		want, err := model.Generate(t.Context(), &one, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want.Texts[0] != got.Texts[i] || want.Tokens[0] != got.Tokens[i] || want.Finish[0] != got.Finish[i] || want.InputTokens[0] != got.InputTokens[i] {
			t.Errorf("row %d is %+v alone, beside others %q, %d tokens, %v", i, want, got.Texts[i], got.Tokens[i], got.Finish[i])
		}
	}
}

func stoppedBeams(t *testing.T, model adapters.LanguageModel) {
	r := generateRequest(model, 1, adapters.GenerateOptions{NumBeams: 3, MaxNewTokens: 10, MinNewTokens: 10})
	whole, err := model.Generate(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	runes := []rune(whole.Texts[0])
	if len(runes) < 4 {
		t.Skipf("the answer %q is too short to end it", whole.Texts[0]) // of other models it is long enough
	}
	stop := string(runes[2:3])
	r.Options.Stop, r.Options.MinNewTokens = []string{stop}, 0
	got, err := model.Generate(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.Texts[0], stop) || got.Tokens[0] > whole.Tokens[0] || got.Finish[0] == adapters.FinishUnknown {
		t.Errorf("before %q the answer is %+v, without %q", stop, got, whole.Texts)
	}
}

func refusedRows(t *testing.T, model adapters.LanguageModel) {
	for what, o := range map[string]adapters.GenerateOptions{
		"sampling with beams":            {Sample: true, NumBeams: 2},
		"log-probabilities of beams":     {LogProbs: true, NumBeams: 2},
		"more tokens than the model has": {MaxNewTokens: 1 << 20},
	} {
		want := adapters.Unsupported
		if o.MaxNewTokens > 0 {
			want = adapters.Invalid
		}
		if want == adapters.Invalid && model.Spec().ContextTokens == 0 {
			continue // such a model has no limit
		}
		r := generateRequest(model, 3, adapters.GenerateOptions{})
		r.Rows = []adapters.GenerateOptions{{}, {}, o}
		_, err := model.Generate(t.Context(), r, nil)
		var e *adapters.Error
		if !errors.As(err, &e) || e.Kind != want || e.Remedy == "" || !strings.Contains(e.Field, "[2]") {
			t.Errorf("%s in row 2: %v, want a %v request, the row and a remedy", what, err, want)
		}
	}
	r := generateRequest(model, 3, adapters.GenerateOptions{MaxNewTokens: 3})
	want, err := model.Generate(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan int)
	close(closed)
	r.Cancel = closed
	if got, err := model.Generate(t.Context(), r, nil); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with a closed channel for cancellations: %+v, %v; without one %+v", got, err, want)
	}
}
