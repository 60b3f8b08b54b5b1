package lm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// grammar gives logits float32[V] after any ids: noise that depends on them.
type grammar struct {
	size int
	seed uint64
}

func (g grammar) logits(ids []int32) []float32 {
	n := uint64(1)
	for _, id := range ids {
		n = n*uint64(g.size+1) + uint64(id) + 1
	}
	rng := rand.New(rand.NewPCG(g.seed, n))
	out := make([]float32, g.size)
	for i := range out {
		out[i] = float32(rng.NormFloat64() * 2)
	}
	return out
}

// norms computes on the host the norms that [logNorms] computes on the device.
func norms(logits []float32, v int) (out []float32) {
	for row := range slices.Chunk(logits, v) {
		top, sum := slices.Max(row), 0.0
		for _, x := range row {
			sum += math.Exp(float64(x - top))
		}
		out = append(out, top, float32(math.Log(sum)))
	}
	return out
}

// searched runs a beam search over a grammar, following tokens and parents as
// the device's cache would.
func searched(t *testing.T, g grammar, o adapters.GenerateOptions, special SpecialTokens) continuation {
	t.Helper()
	s, err := newSearch(o, adapters.DecoderOnly, special)
	if err != nil {
		t.Fatal(err)
	}
	c := newContinuation(&s, 0)
	rows := make([][]int32, s.NumBeams)
	tokens, parents := make([]int32, s.NumBeams), make([]int32, s.NumBeams)
	for !c.done() {
		if c.certainIDs() != nil {
			t.Fatal("ids are certain before the search has ended")
		}
		var logits []float32
		for _, ids := range rows {
			logits = append(logits, g.logits(ids)...)
		}
		if err := c.extend(logits, norms(logits, g.size)); err != nil {
			t.Fatal(err)
		}
		c.next(tokens, parents)
		old := slices.Clone(rows)
		for i := range rows {
			rows[i] = append(slices.Clone(old[parents[i]]), tokens[i])
		}
	}
	return c
}

// TestWideBeamsFindTheBest compares beams that miss nothing with a search of all
// answers.
func TestWideBeamsFindTheBest(t *testing.T) {
	tokens := SpecialTokens{End: []int32{0, 3}}
	for seed := range uint64(20) {
		for _, penalty := range []float64{0, 1, 2} {
			g := grammar{size: 5, seed: seed}
			o := adapters.GenerateOptions{NumBeams: 30, MaxNewTokens: 3, EarlyStopping: adapters.EarlyStoppingNever, LengthPenalty: &penalty}
			best, want := math.Inf(-1), []int32(nil)
			var try func(ids []int32, sum float64)
			try = func(ids []int32, sum float64) {
				ended := len(ids) > 0 && slices.Contains(tokens.End, ids[len(ids)-1])
				if ended || len(ids) == 3 {
					if score := sum / math.Pow(float64(len(ids)), penalty); score > best {
						best, want = score, slices.Clone(ids)
					}
					return
				}
				logits := g.logits(ids)
				norm := norms(logits, g.size)
				for id, x := range logits {
					try(append(slices.Clone(ids), int32(id)), sum+float64(x-norm[0])-float64(norm[1]))
				}
			}
			try(nil, 0)
			got := searched(t, g, o, tokens)
			if int(got.tokens()) != len(want) || !slices.Equal(got.certainIDs(), want[:len(got.certainIDs())]) {
				t.Errorf("seed %d, length penalty %v: got %v (%d tokens), the best is %v", seed, penalty, got.certainIDs(), got.tokens(), want)
			}
		}
	}
}

// constant gives the same probabilities after whatever ids.
func constant(t *testing.T, o adapters.GenerateOptions, probabilities ...float64) ([]int32, int) {
	t.Helper()
	s, err := newSearch(o, adapters.DecoderOnly, SpecialTokens{End: []int32{0}})
	if err != nil {
		t.Fatal(err)
	}
	c, steps := newContinuation(&s, 0), 0
	for ; !c.done(); steps++ {
		var logits []float32
		for range s.NumBeams {
			for _, p := range probabilities {
				logits = append(logits, float32(math.Log(p)))
			}
		}
		if err := c.extend(logits, norms(logits, len(probabilities))); err != nil {
			t.Fatal(err)
		}
	}
	return c.certainIDs(), steps
}

// TestBeamSearchRules pins the rules that transformers' search has. The token 0
// ends an answer.
func TestBeamSearchRules(t *testing.T) {
	number := func(x float64) *float64 { return &x }
	tests := []struct {
		name          string
		options       adapters.GenerateOptions
		probabilities []float64
		ids           []int32
		steps         int
	}{
		// After a step "" is finished with log 0.4, after two "1" with log 0.6·0.4
		// over its length; no running beam can beat the latter.
		{"early stopping false", adapters.GenerateOptions{NumBeams: 2, MaxNewTokens: 9, LengthPenalty: number(0)},
			[]float64{0.4, 0.59, 0.01}, nil, 3},
		{"early stopping true", adapters.GenerateOptions{NumBeams: 2, MaxNewTokens: 9, LengthPenalty: number(0), EarlyStopping: adapters.EarlyStoppingTrue},
			[]float64{0.4, 0.59, 0.01}, nil, 2},
		{"never", adapters.GenerateOptions{NumBeams: 2, MaxNewTokens: 9, LengthPenalty: number(3), EarlyStopping: adapters.EarlyStoppingNever},
			[]float64{0.4, 0.59, 0.01}, slices.Repeat([]int32{1}, 9), 9},
		{"a negative penalty favours short answers", adapters.GenerateOptions{NumBeams: 3, MaxNewTokens: 4, LengthPenalty: number(-1)},
			[]float64{0.3, 0.6, 0.1}, nil, 4},
		{"an end below the first k does not finish", adapters.GenerateOptions{NumBeams: 2, MaxNewTokens: 3, LengthPenalty: number(0)},
			[]float64{0.1, 0.5, 0.4}, []int32{1, 1, 1}, 3},
		{"a minimum holds the end back", adapters.GenerateOptions{NumBeams: 2, MaxNewTokens: 5, MinNewTokens: 2},
			[]float64{0.9, 0.08, 0.02}, []int32{1, 1}, 3},
		{"the penalty multiplies log-probabilities", adapters.GenerateOptions{NumBeams: 2, MaxNewTokens: 2, RepetitionPenalty: 4},
			[]float64{0.01, 0.6, 0.39}, []int32{1, 2}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ids, steps := constant(t, test.options, test.probabilities...)
			if fmt.Sprint(ids) != fmt.Sprint(test.ids) || steps != test.steps {
				t.Errorf("got %v after %d steps, want %v after %d", ids, steps, test.ids, test.steps)
			}
		})
	}
}
