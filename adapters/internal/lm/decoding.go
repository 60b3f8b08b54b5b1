package lm

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// search holds a request's options, with transformers' defaults filled in.
type search struct {
	adapters.GenerateOptions
	lengthPenalty float64
	end           []int32
	start         []int32 // tokens that the repetition penalty counts beside the generated ones
	tokenizer     decoder // for stop texts
}

// decoder turns ids into texts; *tokenizer.Tokenizer is one.
type decoder interface {
	DecodeBatch(ids [][]int32, skipSpecial bool) ([]string, error)
}

func newSearch(o adapters.GenerateOptions, architecture adapters.Architecture, tokens SpecialTokens) (search, error) {
	if o.NumBeams > 1 && o.Sample {
		return search{}, adapters.Errorf(adapters.Unsupported, "sampling with num_beams %d is not supported, only with one", o.NumBeams).
			WithRemedy("sample with num_beams 1, or search with beams and without sampling")
	}
	if o.NumBeams > 1 && o.LogProbs {
		return search{}, adapters.Errorf(adapters.Unsupported, "log_probs with num_beams %d is not supported, only with one", o.NumBeams).
			WithRemedy("ask with num_beams 1, or without log_probs")
	}
	if o.MaxNewTokens == 0 {
		o.MaxNewTokens = 20
	}
	if o.NumBeams == 0 {
		o.NumBeams = 1
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
		return search{}, adapters.Errorf(adapters.Invalid, "min_new_tokens is %d, want at most max_new_tokens (%d)", o.MinNewTokens, o.MaxNewTokens)
	}
	s := search{GenerateOptions: o, lengthPenalty: 1, end: tokens.End}
	if o.LengthPenalty != nil {
		s.lengthPenalty = *o.LengthPenalty
	}
	if architecture == adapters.EncoderDecoder {
		s.start = []int32{tokens.Start}
	}
	return s, nil
}

func (s *search) ends(id int32) bool { return slices.Contains(s.end, id) }

// process changes the scores float32[V] of the token after the generated ids, as
// transformers' logits processors do: by the repetition penalty, then by the minimum
// number of new tokens.
func (s *search) process(scores []float32, ids []int32) {
	for _, id := range s.adjusted(ids) {
		scores[id] = s.adjust(id, scores[id], ids)
	}
}

// adjusted returns the tokens whose scores process changes after the generated ids.
func (s *search) adjusted(ids []int32) []int32 {
	var changed []int32
	if s.RepetitionPenalty != 1 {
		changed = slices.Concat(s.start, ids)
	}
	if len(ids) < s.MinNewTokens {
		changed = append(changed, s.end...)
	}
	slices.Sort(changed)
	return slices.Compact(changed)
}

// adjust returns the changed score of one of the tokens that adjusted returns.
func (s *search) adjust(id int32, score float32, ids []int32) float32 {
	if len(ids) < s.MinNewTokens && s.ends(id) {
		return float32(math.Inf(-1))
	}
	if penalty := float32(s.RepetitionPenalty); penalty != 1 {
		if score < 0 {
			return score * penalty
		}
		return score / penalty
	}
	return score
}

// notFinite returns the error for logits without a finite number.
func notFinite(generated int) error {
	return adapters.Errorf(adapters.Internal, "the logits after %d generated tokens are not finite", generated).
		WithRemedy("check the weights, or compute in float32")
}

// continuation is an answer that is being generated. It has one row of the batch, or
// one row for each beam.
type continuation interface {
	// extend chooses the next token by its logits float32[rows, V], which it may
	// overwrite. With beams, it needs their norms ([logNorms]).
	extend(logits, norms []float32) error
	// next writes, for each row, the token that the following step reads and the row
	// whose cache it continues.
	next(tokens, parents []int32)
	// done reports whether the answer is complete.
	done() bool
	// certainIDs returns the ids of the answer that later steps cannot change,
	// without the end token.
	certainIDs() []int32
	// ended reports whether an end token completed the answer.
	ended() bool
	// tokens returns the number of generated tokens, the end token included. It is 0 for a
	// beam search that is not complete.
	tokens() int32
	// scores returns the scores of certainIDs, if they are requested.
	scores() []tokenScore
}

// newContinuation starts an answer. stream selects its random numbers, if it samples.
func newContinuation(s *search, stream uint64) continuation {
	if s.NumBeams > 1 {
		return newBeams(s)
	}
	return &answer{search: s, random: rand.New(rand.NewPCG(s.Seed, stream))}
}

// answer is a continuation by greedy search or by sampling.
type answer struct {
	search *search
	ids    []int32 // without the end token
	scored []tokenScore
	end    bool // an end token was chosen
	last   int32
	random *rand.Rand
}

func (a *answer) done() bool { return a.end || len(a.ids) >= a.search.MaxNewTokens }

func (a *answer) ended() bool { return a.end }

func (a *answer) certainIDs() []int32 { return a.ids }

func (a *answer) scores() []tokenScore { return a.scored }

func (a *answer) tokens() int32 {
	if a.end {
		return int32(len(a.ids)) + 1
	}
	return int32(len(a.ids))
}

func (a *answer) next(tokens, parents []int32) { tokens[0], parents[0] = a.last, 0 }

func (a *answer) extend(logits, _ []float32) error {
	var raw []float32
	if a.search.LogProbs {
		raw = slices.Clone(logits)
	}
	a.search.process(logits, a.ids)
	a.last = argmax(logits)
	if a.last < 0 {
		return notFinite(len(a.ids))
	}
	if a.search.Sample {
		a.last = a.search.warp(logits).sample(a.random)
	}
	if a.search.ends(a.last) {
		a.end = true
		return nil
	}
	a.ids = append(a.ids, a.last)
	if a.search.LogProbs {
		a.scored = append(a.scored, score(raw, a.last, a.search.TopLogProbs))
	}
	return nil
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
