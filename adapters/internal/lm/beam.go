package lm

import (
	"cmp"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// excludedScore is added to a score to exclude it, as transformers does it.
const excludedScore float32 = -1e9

// hypothesis is a beam: one candidate answer.
type hypothesis struct {
	ids      []int32 // generated, the end token included
	score    float32 // Σ log p; divided by length^penalty in a finished one
	parent   int32   // the beam that it continues
	finished bool
}

// beams is a search with k beams for one answer: transformers' _beam_search
// (generation/utils.py) for one example, also in float32.
//
// Each step ranks the continuations of all beams and keeps the best 2k of them, or
// more if several tokens end an answer. The k best that do not end keep running. One
// that ends is finished only if it is among the first k; the k best finished ones are
// kept. The answer is the best of these.
type beams struct {
	search   *search
	running  []hypothesis // k, descending
	finished []hypothesis // k, descending; entries that are not finished are placeholders
	steps    int
	// improvable is set while a running beam can still become one of the finished
	// ones. Once false it stays false.
	improvable bool
	complete   bool
}

func newBeams(s *search) *beams {
	b := &beams{search: s, improvable: true}
	for i := range s.NumBeams {
		h := hypothesis{score: excludedScore}
		b.finished = append(b.finished, h)
		if i == 0 {
			h.score = 0 // all beams start equal: one is enough
		}
		b.running = append(b.running, h)
	}
	return b
}

func (b *beams) done() bool { return b.complete }

func (b *beams) certainIDs() []int32 {
	if !b.complete {
		return nil
	}
	ids := b.finished[0].ids
	if b.ended() {
		return ids[:len(ids)-1]
	}
	return ids
}

func (b *beams) ended() bool {
	ids := b.finished[0].ids
	return b.complete && len(ids) > 0 && b.search.ends(ids[len(ids)-1])
}

func (b *beams) tokens() int32 {
	if !b.complete {
		return 0
	}
	return int32(len(b.finished[0].ids))
}

func (b *beams) scores() []tokenScore { return nil }

func (b *beams) next(tokens, parents []int32) {
	for i, h := range b.running {
		if n := len(h.ids); n > 0 {
			tokens[i] = h.ids[n-1]
		}
		parents[i] = h.parent
	}
}

func (b *beams) extend(logits, norms []float32) error {
	best, err := b.continuations(logits, norms)
	if err != nil {
		return err
	}
	b.steps++
	ended, err := b.haveStop(best)
	if err != nil {
		return err
	}
	for i, h := range best {
		ended[i] = ended[i] || b.steps >= b.search.MaxNewTokens || b.search.ends(h.ids[len(h.ids)-1])
	}
	b.run(best, ended)
	b.finish(best, ended)
	b.improvable = b.improvable && b.canImprove()
	b.complete = !b.improvable || b.full() || !slices.Contains(ended, false)
	return nil
}

// haveStop reports which hypotheses have a stop text.
func (b *beams) haveStop(h []hypothesis) ([]bool, error) {
	out := make([]bool, len(h))
	if len(b.search.Stop) == 0 {
		return out, nil
	}
	ids := make([][]int32, len(h))
	for i := range h {
		ids[i] = h[i].ids
	}
	texts, err := b.search.tokenizer.DecodeBatch(ids, true)
	for i, text := range texts {
		_, out[i] = adapters.CutAtStop(text, b.search.Stop)
	}
	return out, err
}

// continued is a continuation of a beam by one token.
type continued struct {
	parent int
	id     int32
}

// continuations ranks all continuations of the beams by logits float32[k, V] and their norms
// float32[k, 2] ([logNorms]). Before the first token there is one row for all beams, which are
// equal.
func (b *beams) continuations(logits, norms []float32) ([]hypothesis, error) {
	rows := len(norms) / 2
	v := len(logits) / rows
	best := topK[continued]{n: min(max(2, 1+len(b.search.end))*len(b.running), v*len(b.running))}
	for i, h := range b.running {
		row := i % rows
		if !b.rank(&best, i, h, logits[row*v:(row+1)*v], norms[2*row], norms[2*row+1]) {
			return nil, notFinite(b.steps)
		}
	}
	out := make([]hypothesis, len(best.items))
	for i, t := range best.items {
		ids := b.running[t.parent].ids
		out[i] = hypothesis{ids: append(ids[:len(ids):len(ids)], t.id), score: best.scores[i], parent: int32(t.parent)}
	}
	return out, nil
}

// rank adds the continuations of beam i to best. A token's log-probability is its logit less the
// highest one, top, and less log. It reports whether the logits are finite.
func (b *beams) rank(best *topK[continued], i int, h hypothesis, logits []float32, top, log float32) bool {
	if math.IsNaN(float64(top-top)) || math.IsNaN(float64(log-log)) {
		return false
	}
	probability := func(id int32) float32 { return float32(float64(logits[id]-top) - float64(log)) }
	adjusted := b.search.adjusted(h.ids)
	// Few tokens are better than the worst of best: the others are told by their logit, with room
	// for rounding.
	bound := func() float32 {
		if !best.full() {
			return float32(math.Inf(-1))
		}
		needed := float64(best.worst()) - float64(h.score)
		return float32(needed + float64(log) + float64(top) - 1e-5*(math.Abs(needed)+math.Abs(float64(top))+1))
	}
	least := bound()
	for id, x := range logits {
		if x < least || slices.Contains(adjusted, int32(id)) {
			continue
		}
		best.add(probability(int32(id))+h.score, continued{i, int32(id)})
		least = bound()
	}
	for _, id := range adjusted {
		best.add(b.search.adjust(id, probability(id), h.ids)+h.score, continued{i, id})
	}
	return true
}

// run keeps the k best continuations that have not ended.
func (b *beams) run(best []hypothesis, ended []bool) {
	next := slices.Clone(best)
	for i := range next {
		if ended[i] {
			next[i].score += excludedScore
		}
	}
	b.running = highest(next, len(b.running))
}

// finish merges the ended ones of the first k continuations into the finished ones.
func (b *beams) finish(best []hypothesis, ended []bool) {
	k := len(b.finished)
	closed := !b.improvable || b.full()
	merged := b.finished
	for i, h := range best {
		h.score /= b.penalty(b.steps)
		h.finished = ended[i] && i < k
		if closed {
			h.score += excludedScore
		}
		if !h.finished {
			h.score += excludedScore
		}
		merged = append(merged, h)
	}
	b.finished = highest(merged, k)
}

// full reports whether early stopping needs no further finished hypothesis.
func (b *beams) full() bool {
	return b.search.EarlyStopping == adapters.EarlyStoppingTrue && b.allFinished()
}

func (b *beams) allFinished() bool {
	return !slices.ContainsFunc(b.finished, func(h hypothesis) bool { return !h.finished })
}

// canImprove estimates whether the best running beam can beat the worst finished one.
func (b *beams) canImprove() bool {
	length := b.steps
	if b.search.EarlyStopping == adapters.EarlyStoppingNever && b.search.lengthPenalty > 0 {
		length = b.search.MaxNewTokens
	}
	worst := excludedScore
	if b.allFinished() {
		worst = b.finished[len(b.finished)-1].score
	}
	return b.running[0].score/b.penalty(length) > worst
}

func (b *beams) penalty(length int) float32 {
	return float32(math.Pow(float64(length), b.search.lengthPenalty))
}

// highest returns the n highest scores, descending.
func highest(h []hypothesis, n int) []hypothesis {
	slices.SortStableFunc(h, func(a, b hypothesis) int { return cmp.Compare(b.score, a.score) })
	return slices.Clip(h[:n])
}
