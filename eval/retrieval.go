package eval

import (
	"context"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// Retrieval is the recall at 1 among pictures and their texts: how often the best text for
// a picture (TextR1) and the best picture for a text (ImageR1) is the right one. Ranks are
// by ITC alone, and after ITM has ranked the best candidates again.
type Retrieval struct {
	Pairs           int     `json:"pairs"`
	TextR1          float64 `json:"text_r1"`
	ImageR1         float64 `json:"image_r1"`
	Reranked        int     `json:"reranked,omitempty"` // candidates that ITM ranked again
	TextR1Reranked  float64 `json:"text_r1_reranked,omitempty"`
	ImageR1Reranked float64 `json:"image_r1_reranked,omitempty"`
}

// MeasureRetrieval ranks captions for features [B, N, Denc] and the other way round. It
// leaves out pictures whose caption an earlier picture has. ITM ranks the best `rerank`
// candidates again by its logit for "yes" plus the cosine (LAVIS; BLIP-2, section 4.4,
// with k = 128); 0 skips this.
func MeasureRetrieval(ctx context.Context, b *bridge.Bridge, features *adapters.Tensor, captions []string, rerank int) (*Retrieval, error) {
	rows, texts := distinct(captions)
	features = features.Gather(rows)
	sim, err := b.Similarity(ctx, features, texts)
	if err != nil {
		return nil, err
	}
	n := len(texts)
	r := &Retrieval{Pairs: n, Reranked: min(rerank, n)}
	score := func(i, t int) float32 { return sim.Float32s()[i*n+t] }
	r.TextR1 = recall(n, func(i, t int) float32 { return score(i, t) })
	r.ImageR1 = recall(n, func(t, i int) float32 { return score(i, t) })
	if rerank == 0 {
		return r, nil
	}
	if r.TextR1Reranked, err = reranked(ctx, b, features, texts, r.Reranked, score, false); err != nil {
		return nil, err
	}
	r.ImageR1Reranked, err = reranked(ctx, b, features, texts, r.Reranked, score, true)
	return r, err
}

// distinct returns the first row of each caption, and the captions.
func distinct(captions []string) (rows []int, texts []string) {
	seen := map[string]bool{}
	for i, c := range captions {
		if !seen[c] {
			seen[c] = true
			rows, texts = append(rows, i), append(texts, c)
		}
	}
	return rows, texts
}

// recall returns the fraction of queries whose own candidate scores best.
func recall(n int, score func(query, candidate int) float32) float64 {
	right := 0
	for q := range n {
		best := 0
		for c := range n {
			if score(q, c) > score(q, best) {
				best = c
			}
		}
		if best == q {
			right++
		}
	}
	return float64(right) / float64(n)
}

// reranked returns the recall at 1 after ITM has ranked each query's best k candidates
// again. With byText, texts are the queries and pictures the candidates.
func reranked(ctx context.Context, b *bridge.Bridge, features *adapters.Tensor, texts []string, k int,
	score func(i, t int) float32, byText bool) (float64, error) {
	n := len(texts)
	pair := func(q, c int) (int, int) {
		if byText {
			return c, q
		}
		return q, c
	}
	var images []int
	var captions []string
	for q := range n {
		for _, c := range best(n, k, func(c int) float32 { return score(pair(q, c)) }) {
			i, t := pair(q, c)
			images, captions = append(images, i), append(captions, texts[t])
		}
	}
	logits, err := matchAll(ctx, b, features, images, captions)
	if err != nil {
		return 0, err
	}
	right := 0
	for q := range n {
		top := best(n, k, func(c int) float32 { return score(pair(q, c)) })
		winner := slices.MaxFunc(first(k), func(x, y int) int {
			sx := logits[q*k+x] + score(pair(q, top[x]))
			sy := logits[q*k+y] + score(pair(q, top[y]))
			switch {
			case sx < sy:
				return -1
			case sx > sy:
				return 1
			}
			return 0
		})
		if top[winner] == q {
			right++
		}
	}
	return float64(right) / float64(n), nil
}

// best returns the k candidates with the highest scores, the best one first.
func best(n, k int, score func(c int) float32) []int {
	order := first(n)
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := score(a), score(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return order[:k]
}

// matchAll returns ITM's logit for "yes" of each pair.
func matchAll(ctx context.Context, b *bridge.Bridge, features *adapters.Tensor, images []int, texts []string) ([]float32, error) {
	out := make([]float32, 0, len(texts))
	for lo := 0; lo < len(texts); lo += batch {
		hi := min(lo+batch, len(texts))
		logits, err := b.Match(ctx, features.Gather(images[lo:hi]), texts[lo:hi])
		if err != nil {
			return nil, err
		}
		for i := range hi - lo {
			out = append(out, logits.Float32s()[2*i+1])
		}
	}
	return out, nil
}

func first(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}
