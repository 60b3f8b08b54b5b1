package lm

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// search is a request's options with their defaults, transformers' ones.
type search struct {
	adapters.GenerateOptions
	end []int32
}

func newSearch(o adapters.GenerateOptions, rules Rules) (search, error) {
	if o.NumBeams > 1 {
		return search{}, adapters.Errorf(adapters.Unsupported, "beam search (num_beams %d) is not implemented in this version", o.NumBeams).
			WithRemedy("use greedy search (num_beams 1) or sampling")
	}
	if o.MaxNewTokens == 0 {
		o.MaxNewTokens = 20
	}
	if o.RepetitionPenalty == 0 {
		o.RepetitionPenalty = 1
	}
	if o.Temperature == 0 {
		o.Temperature = 1
	}
	if o.TopP == 0 {
		o.TopP = 1
	}
	if o.MinNewTokens > o.MaxNewTokens {
		return search{}, adapters.Errorf(adapters.Invalid, "min_new_tokens is %d, max_new_tokens %d: want at most as many", o.MinNewTokens, o.MaxNewTokens)
	}
	return search{GenerateOptions: o, end: rules.End}, nil
}

// answer is one answer as it grows.
type answer struct {
	search  *search
	seen    []int32 // what the repetition penalty counts: the start token, if any, and ids
	ids     []int32 // generated, the end token not among them
	ended   bool    // by an end token
	random  *rand.Rand
	emitted string
}

// newAnswer starts the answer of a request's example. Its random numbers depend
// on the seed and the example, never on the batch.
func newAnswer(s *search, rules Rules, example int) *answer {
	a := &answer{search: s, random: rand.New(rand.NewPCG(s.Seed, uint64(example)))}
	if rules.Architecture == adapters.EncoderDecoder {
		a.seen = []int32{rules.Start}
	}
	return a
}

func (a *answer) done() bool { return a.ended || len(a.ids) >= a.search.MaxNewTokens }

// tokens is the number of generated tokens, the end token included.
func (a *answer) tokens() int32 {
	if a.ended {
		return int32(len(a.ids)) + 1
	}
	return int32(len(a.ids))
}

// extend chooses the next token by its logits float32[V], which it overwrites.
func (a *answer) extend(logits []float32) (int32, error) {
	a.penalise(logits)
	if len(a.ids) < a.search.MinNewTokens {
		for _, id := range a.search.end {
			logits[id] = float32(math.Inf(-1))
		}
	}
	id := argmax(logits)
	if id >= 0 && a.search.Sample {
		id = a.sample(logits)
	}
	if id < 0 {
		return 0, adapters.Errorf(adapters.Internal, "the logits after %d generated tokens are not finite", len(a.ids)).
			WithRemedy("check the weights, or compute in float32")
	}
	a.seen = append(a.seen, id)
	if slices.Contains(a.search.end, id) {
		a.ended = true
	} else {
		a.ids = append(a.ids, id)
	}
	return id, nil
}

// penalise divides positive and multiplies negative logits of tokens seen, each
// once.
func (a *answer) penalise(logits []float32) {
	penalty := float32(a.search.RepetitionPenalty)
	if penalty == 1 {
		return
	}
	for i, id := range a.seen {
		if slices.Contains(a.seen[:i], id) {
			continue
		}
		if logits[id] > 0 {
			logits[id] /= penalty
		} else {
			logits[id] *= penalty
		}
	}
}

// argmax returns the first index of the largest finite value, −1 if none is.
func argmax(values []float32) int32 {
	best, at := math.Inf(-1), int32(-1)
	for i, x := range values {
		if v := float64(x); v > best && !math.IsInf(v, 1) {
			best, at = v, int32(i)
		}
	}
	return at
}

// sample draws a token: temperature, then top-k, then top-p, as transformers
// orders them.
func (a *answer) sample(logits []float32) int32 {
	ids := make([]int32, 0, len(logits))
	for i, x := range logits {
		if !math.IsInf(float64(x), -1) {
			ids = append(ids, int32(i))
		}
	}
	slices.SortStableFunc(ids, func(i, j int32) int { return cmp.Compare(logits[j], logits[i]) })
	if k := a.search.TopK; k > 0 && k < len(ids) {
		ids = ids[:k]
	}
	weights := make([]float64, len(ids))
	total := 0.0
	for i, id := range ids {
		weights[i] = math.Exp(float64(logits[id]-logits[ids[0]]) / a.search.Temperature)
		total += weights[i]
	}
	kept, sum := 0, 0.0
	for kept < len(ids) && (kept == 0 || sum < a.search.TopP*total) {
		sum += weights[kept]
		kept++
	}
	at := a.random.Float64() * sum
	for i := range kept - 1 {
		if at -= weights[i]; at < 0 {
			return ids[i]
		}
	}
	return ids[kept-1]
}
