package lmtest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// generation runs every way to generate: streamed, in more than one chunk,
// alone, given up.
func generation(t *testing.T, model adapters.LanguageModel) {
	negative := -1.0
	for _, c := range []struct {
		name    string
		options adapters.GenerateOptions
	}{
		{"greedy", adapters.GenerateOptions{RepetitionPenalty: 1.5}},
		{"sampling", adapters.GenerateOptions{Sample: true, Seed: 7, TopK: 20, TopP: 0.9, Temperature: 1.2, MaxNewTokens: 9}},
		{"beams", adapters.GenerateOptions{NumBeams: 5, MaxNewTokens: 8, MinNewTokens: 3, RepetitionPenalty: 1.2,
			LengthPenalty: &negative, EarlyStopping: adapters.EarlyStoppingTrue}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const n = 33 // more than one chunk with beams
			all := generateRequest(model, n, c.options)
			want := streamed(t, model, all)
			for _, i := range []int{0, n - 1} {
				one := *all
				one.Examples = all.Examples[i : i+1]
				got, err := model.Generate(t.Context(), &one, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got.Texts[0] != want.Texts[i] || got.Tokens[0] != want.Tokens[i] {
					t.Errorf("example %d is %q (%d tokens) alone, in the batch %q (%d)", i, got.Texts[0], got.Tokens[0], want.Texts[i], want.Tokens[i])
				}
			}
			for i, tokens := range want.Tokens {
				if int(tokens) < c.options.MinNewTokens || tokens > 20 {
					t.Errorf("answer %d has %d tokens", i, tokens)
				}
			}
			interrupted(t, model, all)
		})
	}
	t.Run("equal examples draw other tokens", func(t *testing.T) { equalExamples(t, model) })
	t.Run("one way to be likeliest", func(t *testing.T) { likeliest(t, model) })
}

func generateRequest(model adapters.LanguageModel, n int, o adapters.GenerateOptions) *adapters.GenerateRequest {
	r := request(model, n)
	return &adapters.GenerateRequest{Prompts: r.Prompts, Examples: r.Examples, Options: o}
}

// streamed generates twice, with and without a stream, whose pieces must make
// the texts.
func streamed(t *testing.T, model adapters.LanguageModel, r *adapters.GenerateRequest) *adapters.GenerateResponse {
	t.Helper()
	pieces, calls := make([]string, len(r.Examples)), make([]int, len(r.Examples))
	res, err := model.Generate(t.Context(), r, func(p adapters.Piece) error {
		pieces[p.Example] += p.Text
		calls[p.Example]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(pieces, res.Texts) {
		t.Errorf("streamed %q, returned %q", pieces, res.Texts)
	}
	if most := slices.Max(calls); r.Rows == nil && (most > 1) == (r.Options.NumBeams > 1) {
		t.Errorf("an answer comes in up to %d pieces", most)
	}
	plain, err := model.Generate(t.Context(), r, nil)
	if err != nil || !reflect.DeepEqual(plain, res) {
		t.Errorf("without a stream %+v (%v), with one %+v", plain, err, res)
	}
	return res
}

// interrupted ends a generation by an error of emit, and by its context.
func interrupted(t *testing.T, model adapters.LanguageModel, r *adapters.GenerateRequest) {
	t.Helper()
	stop := errors.New("enough")
	if _, err := model.Generate(t.Context(), r, func(adapters.Piece) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error of emit: got %v, want %v", err, stop)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.Options.MinNewTokens = r.Options.MaxNewTokens // so that some are still running
	calls := 0
	_, err := model.Generate(ctx, r, func(adapters.Piece) error {
		calls++
		cancel()
		return nil
	})
	if adapters.KindOf(err) != adapters.Canceled {
		t.Errorf("given up after a piece: %v, want canceled", err)
	}
	if _, err := model.Generate(t.Context(), r, nil); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func equalExamples(t *testing.T, model adapters.LanguageModel) {
	r := generateRequest(model, 1, adapters.GenerateOptions{Sample: true, Temperature: 3, MinNewTokens: 12, MaxNewTokens: 12})
	r.Examples = slices.Repeat(r.Examples, 3)
	first, err := model.Generate(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(first.Texts)))) != 3 {
		t.Errorf("three equal examples give %q, want three answers", first.Texts)
	}
	r.Options.Seed = 1
	second, err := model.Generate(t.Context(), r, nil)
	if err != nil || slices.Equal(first.Texts, second.Texts) {
		t.Errorf("another seed gives %q (%v)", second.Texts, err)
	}
}

// likeliest compares greedy search with other ways to say the same.
func likeliest(t *testing.T, model adapters.LanguageModel) {
	want, err := model.Generate(t.Context(), generateRequest(model, 5, adapters.GenerateOptions{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]adapters.GenerateOptions{
		"one beam": {NumBeams: 1}, "top-k 1": {Sample: true, TopK: 1}, "top-p 0": {Sample: true, TopP: 1e-9},
		"20 new tokens": {MaxNewTokens: 20}, "seed": {Seed: 5, Temperature: 2, TopK: 3},
	} {
		got, err := model.Generate(t.Context(), generateRequest(model, 5, o), nil)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s gives %+v (%v), greedy search %+v", name, got, err, want)
		}
	}
}
