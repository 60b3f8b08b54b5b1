package eval

import (
	"context"

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
// with k = 128); 0 skips this. A candidate whose score equals that of the right one stands
// before it ([metrics.Ranks]).
func MeasureRetrieval(ctx context.Context, b *bridge.Bridge, features *adapters.Tensor, captions []string, rerank int) (*Retrieval, error) {
	rows, texts := distinct(captions)
	features = features.Gather(rows)
	n := len(texts)
	found, err := Retrieve(ctx, b, Gallery{
		Pictures: n, Captions: texts, Picture: span(0, n),
		Features: func(_ context.Context, rows []int) (*adapters.Tensor, error) { return features.Gather(rows), nil },
	}, RetrievalOptions{Rerank: rerank})
	if err != nil {
		return nil, err
	}
	r := &Retrieval{Pairs: n, TextR1: at1(found.TextITC.Ranks), ImageR1: at1(found.ImageITC.Ranks)}
	if rerank > 0 {
		r.Reranked, r.TextR1Reranked, r.ImageR1Reranked = min(rerank, n), at1(found.Text.Ranks), at1(found.Image.Ranks)
	}
	return r, nil
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

// at1 returns the fraction of queries whose own candidate is the best.
func at1(ranks []int) float64 {
	right := 0
	for _, rank := range ranks {
		if rank == 0 {
			right++
		}
	}
	return float64(right) / float64(len(ranks))
}
