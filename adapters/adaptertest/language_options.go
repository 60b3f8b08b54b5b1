package adaptertest

import (
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// optionCase is an option that a model must either apply as transformers does, or refuse
// as unsupported.
type optionCase struct {
	name     string
	wants    string
	change   func(o *adapters.GenerateOptions)
	optional bool // may be refused
	asGreedy bool // must give what greedy search gives
	onePiece bool // streams no more than one piece an answer
}

func (c optionCase) fix() string {
	if c.optional {
		return "implement the option as transformers does, or refuse it as unsupported; do not ignore it"
	}
	return "every adapter must have this option: see the table of options"
}

func optionCases() []optionCase {
	negative := -1.0
	return []optionCase{
		{name: "one beam", wants: "num_beams 1 is greedy search", asGreedy: true,
			change: func(o *adapters.GenerateOptions) { o.NumBeams = 1 }},
		{name: "options of sampling without it", wants: "top_k, temperature and seed have an effect only in sampling", asGreedy: true,
			change: func(o *adapters.GenerateOptions) { o.TopK, o.Temperature, o.Seed = 2, 3, 5 }},
		{name: "one token", wants: "max_new_tokens limits the length of an answer, including the end token",
			change: func(o *adapters.GenerateOptions) { o.MaxNewTokens = 1 }},
		{name: "a minimum", wants: "the end token is not chosen before min_new_tokens",
			change: func(o *adapters.GenerateOptions) { o.MinNewTokens = 6 }},
		{name: "repetition penalty", wants: "a repetition penalty is applied, or refused as unsupported", optional: true,
			change: func(o *adapters.GenerateOptions) { o.RepetitionPenalty = 1.5 }},
		{name: "sampling", wants: "sampling works, or is refused as unsupported", optional: true,
			change: func(o *adapters.GenerateOptions) { o.Sample, o.Seed = true, 3 }},
		{name: "top-k 1", wants: "sampling from only the likeliest token is greedy search", optional: true, asGreedy: true,
			change: func(o *adapters.GenerateOptions) { o.Sample, o.TopK = true, 1 }},
		{name: "a tiny top-p", wants: "sampling from a tiny part of the probability mass is greedy search", optional: true, asGreedy: true,
			change: func(o *adapters.GenerateOptions) { o.Sample, o.TopP = true, 1e-9 }},
		{name: "a low temperature", wants: "sampling at a temperature near 0 is greedy search", optional: true, asGreedy: true,
			change: func(o *adapters.GenerateOptions) { o.Sample, o.Temperature = true, 1e-6 }},
		{name: "top-k 1 at a high temperature", wants: "the temperature is applied before top-k, and keeps the order of tokens", optional: true, asGreedy: true,
			change: func(o *adapters.GenerateOptions) { o.Sample, o.TopK, o.Temperature = true, 1, 50 }},
		{name: "beams", wants: "beam search works, or is refused as unsupported; it streams each answer in one piece", optional: true, onePiece: true,
			change: func(o *adapters.GenerateOptions) { o.NumBeams = 3 }},
		{name: "beams with a minimum", wants: "beam search respects min_new_tokens, length_penalty and early_stopping, or is refused", optional: true, onePiece: true,
			change: func(o *adapters.GenerateOptions) {
				o.NumBeams, o.MinNewTokens, o.LengthPenalty, o.EarlyStopping = 2, 6, &negative, adapters.EarlyStoppingTrue
			}},
	}
}

func (l *languageCases) testOption(t T, c optionCase) {
	req := l.generateRequest()
	want := l.generate(t, req, nil)
	c.change(&req.Options)
	pieces := make([]int, len(req.Examples))
	got, err := l.m.Generate(t.Context(), req, func(p adapters.Piece) error {
		if p.Example >= 0 && p.Example < len(pieces) {
			pieces[p.Example]++
		}
		return nil
	})
	if c.optional && adapters.KindOf(err) == adapters.Unsupported {
		t.Skipf("refused, as it may be: %v", err)
	}
	if err == nil {
		err = got.Check(req)
	}
	if err != nil {
		t.Fatalf("generate: %v", err)
	}
	if c.asGreedy && !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, greedily %+v", got, want)
	}
	for i, n := range got.Tokens {
		if int(n) < max(1, req.Options.MinNewTokens) || int(n) > req.Options.MaxNewTokens {
			t.Errorf("answer %d has %d tokens, want %d to %d", i, n, max(1, req.Options.MinNewTokens), req.Options.MaxNewTokens)
		}
		if c.onePiece && pieces[i] > 1 {
			t.Errorf("answer %d came in %d pieces: its first tokens were not certain before the search was over", i, pieces[i])
		}
	}
	l.answersAlone(t, req, got, len(req.Examples)-1)
}

func (l *languageCases) testImpossibleOptions(t T) {
	segments := []adapters.Segment{adapters.TextSegment(l.o.Texts[0])}
	for name, o := range map[string]adapters.GenerateOptions{
		"top-p 2":                         {TopP: 2},
		"a temperature that is no number": {Sample: true, Temperature: math.NaN()},
		"a negative number of tokens":     {MaxNewTokens: -1},
		"a minimum above the maximum":     {MaxNewTokens: 2, MinNewTokens: 3},
		"a minimum above the default":     {MinNewTokens: 21},
		"an unknown way of early stopping": {NumBeams: 2,
			EarlyStopping: adapters.EarlyStoppingNever + 1},
	} {
		_, err := l.m.Generate(t.Context(), &adapters.GenerateRequest{Examples: []adapters.Example{{Segments: segments}}, Options: o}, nil)
		wantKind(t, "generate, "+name, err, adapters.Invalid)
	}
}

func (l *languageCases) testSampledBeams(t T) {
	req := l.generateRequest()
	req.Options.Sample, req.Options.NumBeams = true, 4
	_, err := l.m.Generate(t.Context(), req, nil)
	wantKind(t, "generate, sampling with beams", err, adapters.Unsupported)
}

// testSampling samples at a temperature at which nearly all tokens are equally
// likely: that answers of several seeds are greedy search's is then no chance.
func (l *languageCases) testSampling(t T) {
	req := l.generateRequest()
	req.Options.MinNewTokens = req.Options.MaxNewTokens
	greedy := l.generate(t, req, nil)
	req.Options.Sample, req.Options.Temperature = true, 100
	var answers []string
	for seed := range uint64(3) {
		req.Options.Seed = seed
		got, err := l.m.Generate(t.Context(), req, nil)
		if adapters.KindOf(err) == adapters.Unsupported {
			if answers != nil {
				t.Errorf("seed %d is refused, the one before was not: %v", seed, err)
			}
			t.Skipf("refused, as it may be: %v", err)
		}
		if err != nil {
			t.Fatalf("generate: %v", err)
		}
		again := l.generate(t, req, nil)
		if !reflect.DeepEqual(got, again) {
			t.Errorf("the seed %d gives %q, then %q", seed, got.Texts, again.Texts)
		}
		answers = append(answers, strings.Join(got.Texts, "\n"))
	}
	if slices.Contains(answers, strings.Join(greedy.Texts, "\n")) {
		t.Errorf("sampled at temperature 100, all answers are those of greedy search, %q: sampling or the temperature is ignored", greedy.Texts)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(answers)))) == 1 {
		t.Errorf("three seeds give the same answers %q: the seed is ignored", answers[0])
	}
}

// testPenalty uses penalties so large and so small that an answer which repeats a token
// cannot be the same with both.
func (l *languageCases) testPenalty(t T) {
	req := l.generateRequest()
	req.Options.MinNewTokens, req.Options.MaxNewTokens = 12, 12
	repeats, pieces := false, make([][]string, len(req.Examples))
	want := l.generate(t, req, func(p adapters.Piece) error {
		if p.Example >= 0 && p.Example < len(pieces) {
			repeats = repeats || strings.TrimSpace(p.Text) != "" && slices.Contains(pieces[p.Example], p.Text)
			pieces[p.Example] = append(pieces[p.Example], p.Text)
		}
		return nil
	})
	changed := false
	for _, penalty := range []float64{1e4, 1e-4} {
		req.Options.RepetitionPenalty = penalty
		got, err := l.m.Generate(t.Context(), req, nil)
		if adapters.KindOf(err) == adapters.Unsupported {
			t.Skipf("refused, as it may be: %v", err)
		}
		if err != nil {
			t.Fatalf("generate: %v", err)
		}
		changed = changed || !slices.Equal(got.Texts, want.Texts)
	}
	switch {
	case changed:
	case repeats:
		t.Errorf("answers that repeat a token, %q, stay the same with repetition penalties of 10000 and 0.0001: the penalty is ignored", want.Texts)
	default:
		t.Skipf("no answer repeats a token: nothing to see")
	}
}
