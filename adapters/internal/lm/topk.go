package lm

import "sort"

// topK keeps the n items with the highest scores. Of items with equal scores the
// first one added comes first.
type topK[T any] struct {
	n      int
	scores []float32 // descending
	items  []T
}

// full reports whether n items are kept.
func (t *topK[T]) full() bool { return len(t.scores) == t.n }

// worst returns the lowest score that is kept.
func (t *topK[T]) worst() float32 { return t.scores[len(t.scores)-1] }

// add inserts an item unless n better ones are kept.
func (t *topK[T]) add(score float32, item T) {
	if t.full() {
		if !(score > t.scores[t.n-1]) {
			return
		}
		t.scores, t.items = t.scores[:t.n-1], t.items[:t.n-1]
	}
	at := sort.Search(len(t.scores), func(i int) bool { return t.scores[i] < score })
	t.scores, t.items = append(t.scores, score), append(t.items, item)
	copy(t.scores[at+1:], t.scores[at:])
	copy(t.items[at+1:], t.items[at:])
	t.scores[at], t.items[at] = score, item
}
