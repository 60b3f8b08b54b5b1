package lm

import (
	"math"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// extended runs an answer over the same logits at every step.
func extended(t *testing.T, o adapters.GenerateOptions, rules Rules, example int, logits ...float32) ([]int32, bool) {
	t.Helper()
	s, err := newSearch(o, rules)
	if err != nil {
		t.Fatal(err)
	}
	a := newAnswer(&s, rules, example)
	for !a.done() {
		if _, err := a.extend(slices.Clone(logits)); err != nil {
			t.Fatal(err)
		}
	}
	return a.ids, a.ended
}

func TestGreedyAnswers(t *testing.T) {
	decoderOnly := Rules{Architecture: adapters.DecoderOnly, End: []int32{0, 4}}
	encoderDecoder := Rules{Architecture: adapters.EncoderDecoder, End: []int32{0}, Start: 1}
	tests := []struct {
		name    string
		options adapters.GenerateOptions
		rules   Rules
		logits  []float32
		ids     []int32
		ended   bool
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
			ids, ended := extended(t, test.options, test.rules, 0, test.logits...)
			if !slices.Equal(ids, test.ids) || ended != test.ended {
				t.Errorf("got %v, ended %v; want %v, %v", ids, ended, test.ids, test.ended)
			}
		})
	}
}

func TestSampling(t *testing.T) {
	rules := Rules{Architecture: adapters.DecoderOnly, End: []int32{0}}
	logits := []float32{float32(math.Inf(-1)), 1, 2, 0, 1.5}
	sample := func(o adapters.GenerateOptions, example int) []int32 {
		o.Sample, o.MaxNewTokens = true, 4000
		ids, _ := extended(t, o, rules, example, logits...)
		return ids
	}
	if a, b := sample(adapters.GenerateOptions{Seed: 3}, 1), sample(adapters.GenerateOptions{Seed: 3}, 1); !slices.Equal(a, b) {
		t.Error("the same seed gives other tokens")
	}
	if a, b := sample(adapters.GenerateOptions{Seed: 3}, 1), sample(adapters.GenerateOptions{Seed: 3}, 2); slices.Equal(a, b) {
		t.Error("two examples draw the same tokens")
	}
	frequencies := func(o adapters.GenerateOptions) [5]float64 {
		var f [5]float64
		for _, id := range sample(o, 0) {
			f[id] += 1. / 4000
		}
		return f
	}
	softmax := func(temperature float64, ids ...int) (want [5]float64) {
		sum := 0.0
		for _, id := range ids {
			want[id] = math.Exp(float64(logits[id]) / temperature)
			sum += want[id]
		}
		for id := range want {
			want[id] /= sum
		}
		return want
	}
	for _, test := range []struct {
		name    string
		options adapters.GenerateOptions
		want    [5]float64
	}{
		{"plain", adapters.GenerateOptions{}, softmax(1, 1, 2, 3, 4)},
		{"temperature", adapters.GenerateOptions{Temperature: 0.5}, softmax(0.5, 1, 2, 3, 4)},
		{"top-k", adapters.GenerateOptions{TopK: 2}, softmax(1, 2, 4)},
		{"top-p", adapters.GenerateOptions{TopP: 0.7}, softmax(1, 2, 4)},
		{"top-p keeps one", adapters.GenerateOptions{TopP: 0.01}, softmax(1, 2)},
	} {
		got := frequencies(test.options)
		for id := range got {
			if math.Abs(got[id]-test.want[id]) > 0.04 {
				t.Errorf("%s: frequencies %v, want %v", test.name, got, test.want)
				break
			}
		}
	}
}

func TestAnswersThatCannotBe(t *testing.T) {
	rules := Rules{Architecture: adapters.DecoderOnly, End: []int32{0}}
	if _, err := newSearch(adapters.GenerateOptions{NumBeams: 2}, rules); adapters.KindOf(err) != adapters.Unsupported {
		t.Errorf("beam search: %v, want unsupported", err)
	}
	if _, err := newSearch(adapters.GenerateOptions{MinNewTokens: 21}, rules); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("minimum over the maximum: %v, want invalid", err)
	}
	s, err := newSearch(adapters.GenerateOptions{}, rules)
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	if _, err := newAnswer(&s, rules, 0).extend([]float32{nan, nan}); adapters.KindOf(err) != adapters.Internal {
		t.Errorf("logits that are no numbers: %v, want internal", err)
	}
}
