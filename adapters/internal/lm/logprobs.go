package lm

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/tokenizer"
)

// tokenScore is the log-probability of a token, with those of the most probable tokens.
type tokenScore struct {
	id      int32
	logProb float32
	top     []tokenScore
}

// score returns the log-probabilities of a token and of the n most probable ones, by logits
// float32[V] that no processor has changed: their log-softmax.
func score(logits []float32, id int32, n int) tokenScore {
	highest, sum := slices.Max(logits), 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x - highest))
	}
	norm := math.Log(sum)
	logProb := func(id int32) float32 { return float32(float64(logits[id]-highest) - norm) }
	s := tokenScore{id: id, logProb: logProb(id)}
	if n == 0 {
		return s
	}
	best := topK[int32]{n: min(n, len(logits))}
	for id, x := range logits {
		best.add(x, int32(id))
	}
	for _, id := range best.items {
		s.top = append(s.top, tokenScore{id: id, logProb: logProb(id)})
	}
	return s
}

// named returns scores with the texts of their tokens.
func named(t *tokenizer.Tokenizer, scores []tokenScore) []adapters.TokenLogProb {
	var out []adapters.TokenLogProb
	for _, s := range scores {
		bytes := t.TokenBytes(s.id)
		out = append(out, adapters.TokenLogProb{
			Text: strings.ToValidUTF8(string(bytes), string(utf8.RuneError)), Bytes: bytes, LogProb: s.logProb, Top: named(t, s.top),
		})
	}
	return out
}
