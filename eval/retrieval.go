package eval

import (
	"context"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval/metrics"
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
// with k = 128); 0 skips this. A candidate whose score equals that of the right one stands
// before it ([metrics.Ranks]).
func MeasureRetrieval(ctx context.Context, b *bridge.Bridge, features *adapters.Tensor, captions []string, rerank int) (*Retrieval, error) {
	rows, texts := distinct(captions)
	features = features.Gather(rows)
	sim, err := b.Similarity(ctx, features, texts)
	if err != nil {
		return nil, err
	}
	n := len(texts)
	r := &Retrieval{Pairs: n, Reranked: min(rerank, n)}
	byPicture := slices.Collect(slices.Chunk(sim.Float32s(), n))
	byText := metrics.Transposed(byPicture)
	r.TextR1, r.ImageR1 = recall(byPicture), recall(byText)
	if rerank == 0 {
		return r, nil
	}
	if r.TextR1Reranked, err = reranked(ctx, b, features, texts, r.Reranked, byPicture, false); err != nil {
		return nil, err
	}
	r.ImageR1Reranked, err = reranked(ctx, b, features, texts, r.Reranked, byText, true)
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

// recall returns the fraction of queries whose own candidate, that of their number, scores best.
func recall(scores [][]float32) float64 {
	right := 0
	for _, rank := range metrics.Ranks(scores, own(len(scores))) {
		if rank == 0 {
			right++
		}
	}
	return float64(right) / float64(len(scores))
}

// own returns each query's own candidate.
func own(n int) [][]int {
	return slices.Collect(slices.Chunk(first(n), 1))
}

// reranked returns the recall at 1 after ITM has ranked each query's best k candidates
// again. With byText, texts are the queries and pictures the candidates.
func reranked(ctx context.Context, b *bridge.Bridge, features *adapters.Tensor, texts []string, k int,
	scores [][]float32, byText bool) (float64, error) {
	var images []int
	var captions []string
	chosen := make([][]int, len(scores))
	for q, row := range scores {
		chosen[q] = metrics.Best(row, []int{q}, k)
		for _, c := range chosen[q] {
			image, text := q, c
			if byText {
				image, text = c, q
			}
			images, captions = append(images, image), append(captions, texts[text])
		}
	}
	logits, err := matchAll(ctx, b, features, images, captions)
	if err != nil {
		return 0, err
	}
	again := make([][]float32, len(scores))
	for q, row := range scores {
		again[q] = metrics.Reranked(row, chosen[q], logits[q*k:(q+1)*k])
	}
	return recall(again), nil
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
