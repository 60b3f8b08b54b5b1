package lm

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// extended runs an answer over the same logits at every step.
func extended(t *testing.T, o adapters.GenerateOptions, architecture adapters.Architecture, tokens SpecialTokens, stream uint64, logits ...float32) ([]int32, bool) {
	t.Helper()
	s, err := newSearch(o, architecture, tokens)
	if err != nil {
		t.Fatal(err)
	}
	a := newContinuation(&s, stream)
	for !a.done() {
		if err := a.extend(slices.Clone(logits), nil); err != nil {
			t.Fatal(err)
		}
	}
	return a.certainIDs(), int(a.tokens()) > len(a.certainIDs())
}

func TestGreedyAnswers(t *testing.T) {
	const decoderOnly, encoderDecoder = adapters.DecoderOnly, adapters.EncoderDecoder
	tokens := map[adapters.Architecture]SpecialTokens{
		decoderOnly: {End: []int32{0, 4}}, encoderDecoder: {End: []int32{0}, Start: 1},
	}
	tests := []struct {
		name         string
		options      adapters.GenerateOptions
		architecture adapters.Architecture
		logits       []float32
		ids          []int32
		ended        bool
	}{
		{"largest, the first of equals", adapters.GenerateOptions{MaxNewTokens: 3}, decoderOnly, []float32{0, 2, 2, 1, 0}, []int32{1, 1, 1}, false},
		{"any end token ends", adapters.GenerateOptions{}, decoderOnly, []float32{0, 2, 2, 1, 3}, nil, true},
		{"a minimum holds all end tokens back", adapters.GenerateOptions{MinNewTokens: 2}, decoderOnly, []float32{5, 2, 3, 1, 4}, []int32{2, 2}, true},
		{"20 tokens by default", adapters.GenerateOptions{}, decoderOnly, []float32{0, 1, 0, 0, 0}, slices.Repeat([]int32{1}, 20), false},
		{"penalty divides positive logits once", adapters.GenerateOptions{MaxNewTokens: 4, RepetitionPenalty: 2}, decoderOnly, []float32{0, 5, 3, 2, 0}, []int32{1, 2, 1, 1}, false},
		{"penalty multiplies negative logits", adapters.GenerateOptions{MaxNewTokens: 3, RepetitionPenalty: 2}, decoderOnly, []float32{-9, -2, -3, -9, -9}, []int32{1, 2, 1}, false},
		{"penalty counts the start token", adapters.GenerateOptions{MaxNewTokens: 1, RepetitionPenalty: 2}, encoderDecoder, []float32{0, 5, 3}, []int32{2}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ids, ended := extended(t, test.options, test.architecture, tokens[test.architecture], 0, test.logits...)
			if !slices.Equal(ids, test.ids) || ended != test.ended {
				t.Errorf("got %v, ended %v; want %v, %v", ids, ended, test.ids, test.ended)
			}
		})
	}
}

func TestSampling(t *testing.T) {
	tokens := SpecialTokens{End: []int32{0}}
	logits := []float32{float32(math.Inf(-1)), 1, 2, 0, 1.5}
	sample := func(o adapters.GenerateOptions, stream uint64) []int32 {
		o.Sample, o.MaxNewTokens = true, 4000
		ids, _ := extended(t, o, adapters.DecoderOnly, tokens, stream, logits...)
		return ids
	}
	if a, b := sample(adapters.GenerateOptions{Seed: 3}, 1), sample(adapters.GenerateOptions{Seed: 3}, 1); !slices.Equal(a, b) {
		t.Error("the same seed gives other tokens")
	}
	if a, b := sample(adapters.GenerateOptions{Seed: 3}, 1), sample(adapters.GenerateOptions{Seed: 3}, 2); slices.Equal(a, b) {
		t.Error("two streams draw the same tokens")
	}
}

// TestWarpersAgainstTransformers compares the distribution that a token is drawn
// from with the one of transformers' processors (tools/reference/sampling.py),
// and the frequencies of what is drawn with both.
func TestWarpersAgainstTransformers(t *testing.T) {
	var cases []struct {
		Options struct {
			Temperature       float64
			TopK              int     `json:"top_k"`
			TopP              float64 `json:"top_p"`
			RepetitionPenalty float64 `json:"repetition_penalty"`
			MinNewTokens      int     `json:"min_new_tokens"`
			IDs               []int32
		}
		End           []int32
		Logits        []float32
		Probabilities []float64
	}
	data, err := os.ReadFile("testdata/warpers.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for i, c := range cases {
		s, err := newSearch(adapters.GenerateOptions{
			Sample: true, Temperature: c.Options.Temperature, TopK: c.Options.TopK, TopP: c.Options.TopP,
			RepetitionPenalty: c.Options.RepetitionPenalty, MinNewTokens: c.Options.MinNewTokens,
		}, adapters.DecoderOnly, SpecialTokens{End: c.End})
		if err != nil {
			t.Fatal(err)
		}
		s.process(c.Logits, c.Options.IDs)
		distribution := s.warp(c.Logits)
		got := make([]float64, len(c.Probabilities))
		total := 0.0
		for _, w := range distribution.weights {
			total += w
		}
		for j, id := range distribution.ids {
			got[id] = distribution.weights[j] / total
		}
		for id, want := range c.Probabilities {
			if math.Abs(got[id]-want) > 1e-6 {
				t.Errorf("case %d, %+v: token %d has probability %v, want %v", i, c.Options, id, got[id], want)
			}
		}
		chiSquare(t, fmt.Sprintf("case %d", i), distribution, c.Probabilities)
	}
}

// chiSquare draws many tokens and compares their numbers with what is expected.
func chiSquare(t *testing.T, what string, c distribution, probabilities []float64) {
	t.Helper()
	const draws = 20000
	counts := make([]float64, len(probabilities))
	random := rand.New(rand.NewPCG(5, 6))
	for range draws {
		counts[c.sample(random)]++
	}
	chi, free, rare, rareCount := 0.0, -1.0, 0.0, 0.0
	for id, p := range probabilities {
		switch expected := p * draws; {
		case p == 0 && counts[id] > 0:
			t.Errorf("%s: token %d is drawn %v times, its probability is 0", what, id, counts[id])
		case expected < 10: // too few for the statistic on their own
			rare, rareCount = rare+expected, rareCount+counts[id]
		default:
			chi += (counts[id] - expected) * (counts[id] - expected) / expected
			free++
		}
	}
	if rare >= 10 {
		chi += (rareCount - rare) * (rareCount - rare) / rare
		free++
	}
	// Five standard deviations above the statistic's mean.
	if limit := free + 5*math.Sqrt(2*free); chi > limit {
		t.Errorf("%s: χ² of the draws is %.1f with %v degrees of freedom, want at most %.1f", what, chi, free, limit)
	}
}

// TestRandomStreams: what is drawn for an example depends on the example, and on
// how many equal ones precede it.
func TestRandomStreams(t *testing.T) {
	prompts := adapters.FromFloat32([]float32{1, 2, 3, -4, 1, 2, 1, 2.0000002}, 4, 1, 2)
	streams := func(sequences ...Sequence) []uint64 {
		out, err := randomStreams(sequences, prompts, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	a, again, rounded := Sequence{Input: []int32{^0, 5}}, Sequence{Input: []int32{^2, 5}}, Sequence{Input: []int32{^3, 5}}
	text, picture := Sequence{Input: []int32{^0, 6}}, Sequence{Input: []int32{^1, 5}}
	alone := streams(a)[0]
	if got := streams(text, a, picture); got[1] != alone {
		t.Errorf("behind another example the stream is %x, alone %x", got[1], alone)
	}
	if got := streams(rounded)[0]; got != alone {
		t.Errorf("after rounding the stream is %x, before %x", got, alone)
	}
	different := streams(text, a, picture, a, again)
	slices.Sort(different)
	if len(slices.Compact(different)) != 5 {
		t.Errorf("streams %x, want five", different)
	}
}

func TestAnswersThatCannotBe(t *testing.T) {
	tokens := SpecialTokens{End: []int32{0}}
	if _, err := newSearch(adapters.GenerateOptions{NumBeams: 2, Sample: true}, adapters.DecoderOnly, tokens); adapters.KindOf(err) != adapters.Unsupported {
		t.Errorf("sampling with beams: %v, want unsupported", err)
	}
	if _, err := newSearch(adapters.GenerateOptions{MinNewTokens: 21}, adapters.DecoderOnly, tokens); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("minimum over the maximum: %v, want invalid", err)
	}
	nan := float32(math.NaN())
	for _, beams := range []int{1, 2} {
		s, err := newSearch(adapters.GenerateOptions{NumBeams: beams}, adapters.DecoderOnly, tokens)
		if err != nil {
			t.Fatal(err)
		}
		if err := newContinuation(&s, 0).extend([]float32{nan, nan, nan, nan}[:2*beams], []float32{nan, nan, nan, nan}[:2*beams]); adapters.KindOf(err) != adapters.Internal {
			t.Errorf("logits that are no numbers, %d beams: %v, want internal", beams, err)
		}
	}
}
