package train

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/affine"
)

// fitProjectionToCaptions initialises a bridge's projection without an old one: by a
// ridge regression from the Q-Former's outputs on pictures, features [B, N, Denc], to
// the language model's embeddings of the tokens of their captions. Query q of Q
// stands for the token q/Q of the way through the caption.
func fitProjectionToCaptions(ctx context.Context, to *bridge.Bridge, new adapters.TokenEmbedder, features *adapters.Tensor,
	captions []string, seed uint64) (TransferStats, error) {
	queries, err := to.Queries(ctx, features)
	if err != nil {
		return TransferStats{}, err
	}
	embedded, err := new.EmbedTokens(ctx, &adapters.EmbedTokensRequest{Texts: captions})
	if err != nil {
		return TransferStats{}, fmt.Errorf("token embeddings of captions: %w", err)
	}
	a, b, err := queryTokens(queries, embedded)
	if err != nil {
		return TransferStats{}, err
	}
	stats, err := fitProjection(to, a, b, seed)
	if err != nil {
		return TransferStats{}, err
	}
	stats.Scale, err = rescale(ctx, to, features, float64(to.Info.Language.TokenNorm))
	return stats, err
}

// fitProjection sets a bridge's projection to the ridge regression from Q-Former outputs,
// rows of a [n, D], to soft prompts, rows of b [n, Dllm].
func fitProjection(to *bridge.Bridge, a, b *mat.Dense, seed uint64) (TransferStats, error) {
	f, err := affine.Ridge(a, b, seed)
	if err != nil {
		return TransferStats{}, err
	}
	in, out := f.Map.Dims()
	var w mat.Dense
	w.CloneFrom(f.Map.Slice(0, in-1, 0, out).T())
	n, _ := a.Dims()
	return TransferStats{Rows: n, R2: f.R2, Ridge: f.Ridge},
		to.SetProjection(affine.Float32s(w.RawMatrix().Data), affine.Float32s(f.Map.RawRowView(in-1)))
}

// queryTokens pairs the rows of queries float32[B, Q, D] with embeddings of the
// B captions' tokens, in order. It leaves out captions without a token.
func queryTokens(queries *adapters.Tensor, captions *adapters.EmbedTokensResponse) (a, b *mat.Dense, err error) {
	q, d := queries.Shape[1], queries.Shape[2]
	var from, to []float64
	first := 0
	for i, count := range captions.Counts {
		n := int(count)
		values := affine.Float64s(queries.Row(i).Float32s())
		for k := 0; k < q && n > 0; k++ {
			from = append(from, values[k*d:(k+1)*d]...)
			to = append(to, affine.Float64s(captions.Embeddings.Row(first+k*n/q).Float32s())...)
		}
		first += n
	}
	if len(from) == 0 {
		return nil, nil, adapters.Errorf(adapters.Unsupported, "no caption has a token to project to")
	}
	rows := len(from) / d
	return mat.NewDense(rows, d, from), mat.NewDense(rows, len(to)/rows, to), nil
}
