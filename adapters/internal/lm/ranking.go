package lm

import "sort"

// ranking keeps the n items of the highest scores, the first of equals before
// the later ones.
type ranking[T any] struct {
	n      int
	scores []float32 // descending
	items  []T
}

// offer takes an item unless n better ones are there.
func (r *ranking[T]) offer(score float32, item T) {
	if len(r.scores) == r.n {
		if !(score > r.scores[r.n-1]) {
			return
		}
		r.scores, r.items = r.scores[:r.n-1], r.items[:r.n-1]
	}
	at := sort.Search(len(r.scores), func(i int) bool { return r.scores[i] < score })
	r.scores, r.items = append(r.scores, score), append(r.items, item)
	copy(r.scores[at+1:], r.scores[at:])
	copy(r.items[at+1:], r.items[at:])
	r.scores[at], r.items[at] = score, item
}
