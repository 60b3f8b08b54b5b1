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
	if n := len(ids); n > 0 && b.search.ends(ids[n-1]) {
		return ids[:n-1]
	}
	return ids
}

func (b *beams) tokens() int32 { return int32(len(b.finished[0].ids)) }

func (b *beams) next(tokens, parents []int32) {
	for i, h := range b.running {
		if n := len(h.ids); n > 0 {
			tokens[i] = h.ids[n-1]
		}
		parents[i] = h.parent
	}
}

func (b *beams) extend(logits []float32) error {
	best, err := b.continuations(logits)
	if err != nil {
		return err
	}
	b.steps++
	ended := make([]bool, len(best))
	for i, h := range best {
		ended[i] = b.steps >= b.search.MaxNewTokens || b.search.ends(h.ids[len(h.ids)-1])
	}
	b.run(best, ended)
	b.finish(best, ended)
	b.improvable = b.improvable && b.canImprove()
	b.complete = !b.improvable || b.full() || !slices.Contains(ended, false)
	return nil
}

// continuations ranks all continuations of the beams by logits float32[k, V].
func (b *beams) continuations(logits []float32) ([]hypothesis, error) {
	type token struct {
		parent int
		id     int32
	}
	v := len(logits) / len(b.running)
	best := topK[token]{n: min(max(2, 1+len(b.search.end))*len(b.running), len(logits))}
	for i, h := range b.running {
		row := logits[i*v : (i+1)*v]
		if !logSoftmax(row) {
			return nil, notFinite(b.steps)
		}
		b.search.process(row, h.ids)
		for id, x := range row {
			best.add(x+h.score, token{i, int32(id)})
		}
	}
	out := make([]hypothesis, len(best.items))
	for i, t := range best.items {
		ids := b.running[t.parent].ids
		out[i] = hypothesis{ids: append(ids[:len(ids):len(ids)], t.id), score: best.scores[i], parent: int32(t.parent)}
	}
	return out, nil
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

// logSoftmax turns logits into log-probabilities and reports whether they are finite.
func logSoftmax(x []float32) bool {
	top := slices.Max(x)
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v - top))
	}
	sum = math.Log(sum)
	for i, v := range x {
		x[i] = float32(float64(v-top) - sum)
	}
	return sum-sum == 0
}
