package train

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/affine"
)

// fitter fits an affine map from the rows of a to those of b; [affine.Ridge] and
// [affine.Procrustes] do.
type fitter func(a, b *mat.Dense, seed uint64) (affine.Fit, error)

// minShared is the fewest shared tokens that a map may be fitted to.
const minShared = 16

// transferProjection initialises to's projection from from's, through the tokens
// that the two language models share: fit finds the affine map from the old model's
// token embeddings to the new model's, and the new projection is the old one followed
// by that map (VPGTrans, arXiv 2305.01278, section 3). features are those of some
// pictures, [B, N, Denc], on which the soft prompts are scaled to the new model's
// token norm.
func transferProjection(ctx context.Context, from, to *bridge.Bridge, old, new adapters.TokenEmbedder, features *adapters.Tensor,
	fit fitter, seed uint64) (TransferStats, error) {
	a, b, err := sharedEmbeddings(ctx, old, new)
	if err != nil {
		return TransferStats{}, err
	}
	n, _ := a.Dims()
	if n < minShared {
		return TransferStats{}, adapters.Errorf(adapters.Unsupported, "the vocabularies share %d tokens, want at least %d", n, minShared)
	}
	f, err := fit(a, b, seed)
	if err != nil {
		return TransferStats{}, err
	}
	if err := composeProjection(from, to, f.Map); err != nil {
		return TransferStats{}, err
	}
	scale, err := rescale(ctx, to, features, float64(to.Info.Language.TokenNorm))
	return TransferStats{Rows: n, R2: f.R2, Ridge: f.Ridge, Scale: scale}, err
}

// sharedEmbeddings returns the embeddings [n, Dold] and [n, Dnew] of the tokens
// that stand for the same text in both models, in a fixed order.
func sharedEmbeddings(ctx context.Context, old, new adapters.TokenEmbedder) (a, b *mat.Dense, err error) {
	x, err := old.EmbedTokens(ctx, &adapters.EmbedTokensRequest{})
	if err != nil {
		return nil, nil, fmt.Errorf("token embeddings of the old language model: %w", err)
	}
	y, err := new.EmbedTokens(ctx, &adapters.EmbedTokensRequest{})
	if err != nil {
		return nil, nil, fmt.Errorf("token embeddings of the new language model: %w", err)
	}
	rows := map[string]int{}
	for i, s := range y.Surfaces {
		if _, ok := rows[s]; !ok && s != "" {
			rows[s] = i
		}
	}
	var pairs [][2]int
	for i, s := range x.Surfaces {
		if j, ok := rows[s]; ok {
			pairs = append(pairs, [2]int{i, j})
			delete(rows, s)
		}
	}
	if len(pairs) == 0 {
		return &mat.Dense{}, &mat.Dense{}, nil
	}
	pick := func(t *adapters.Tensor, side int) *mat.Dense {
		m := mat.NewDense(len(pairs), t.Shape[1], nil)
		for r, p := range pairs {
			for c, v := range t.Row(p[side]).Float32s() {
				m.Set(r, c, float64(v))
			}
		}
		return m
	}
	return pick(x.Embeddings, 0), pick(y.Embeddings, 1), nil
}

// composeProjection sets to's projection to from's followed by M: y = (x·Wᵀ + b)·M' + m0.
func composeProjection(from, to *bridge.Bridge, m *mat.Dense) error {
	w, bias, err := from.Projection()
	if err != nil {
		return err
	}
	oldWidth, width := len(bias), from.Config().HiddenSize
	_, newWidth := m.Dims()
	linear := m.Slice(0, oldWidth, 0, newWidth)
	var w2, b2 mat.Dense
	w2.Mul(linear.T(), mat.NewDense(oldWidth, width, affine.Float64s(w)))
	b2.Mul(mat.NewDense(1, oldWidth, affine.Float64s(bias)), linear)
	newBias := make([]float32, newWidth)
	for c := range newBias {
		newBias[c] = float32(b2.At(0, c) + m.At(oldWidth, c))
	}
	return to.SetProjection(affine.Float32s(w2.RawMatrix().Data), newBias)
}

// rescale scales b's projection so that the soft prompts of some pictures have the
// mean norm given, and returns the factor.
func rescale(ctx context.Context, b *bridge.Bridge, features *adapters.Tensor, norm float64) (float64, error) {
	prompts, err := b.SoftPrompts(ctx, features)
	if err != nil {
		return 0, err
	}
	scale := norm / meanNorm(prompts)
	w, bias, err := b.Projection()
	if err != nil {
		return 0, err
	}
	for i := range w {
		w[i] *= float32(scale)
	}
	for i := range bias {
		bias[i] *= float32(scale)
	}
	return scale, b.SetProjection(w, bias)
}

// meanNorm returns the mean L2 norm of the vectors along the last axis of a
// float32 tensor.
func meanNorm(t *adapters.Tensor) float64 {
	d := t.Shape[len(t.Shape)-1]
	values := t.Float32s()
	var sum float64
	for lo := 0; lo < len(values); lo += d {
		var s float64
		for _, v := range values[lo : lo+d] {
			s += sq(float64(v))
		}
		sum += math.Sqrt(s)
	}
	return sum / float64(len(values)/d)
}

func sq(x float64) float64 { return x * x }
