package train

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// SharedTokens is the outcome of [CarryProjection].
type SharedTokens struct {
	Tokens int     // that both vocabularies have
	R2     float64 // of the map on tokens that it was not fitted to
	Ridge  float64 // chosen on those
	Scale  float64 // that brought the soft prompts to the new model's token norm
}

// minShared is the fewest tokens that a map is fitted to.
const minShared = 16

// CarryProjection starts to's projection from from's, through the token
// embeddings that the two language models share: it fits, by least squares with
// a ridge, the affine map that takes the old model's embedding of a token to the
// new model's, and lets it follow the old projection. features are some pictures'
// [B, N, Denc], on which the soft prompts are scaled to the new model's token norm.
func CarryProjection(ctx context.Context, from, to *bridge.Bridge, old, new adapters.TokenEmbedder, features *adapters.Tensor, seed uint64) (SharedTokens, error) {
	a, b, err := sharedEmbeddings(ctx, old, new)
	if err != nil {
		return SharedTokens{}, err
	}
	n, _ := a.Dims()
	if n < minShared {
		return SharedTokens{}, adapters.Errorf(adapters.Unsupported, "the vocabularies share %d tokens, want at least %d", n, minShared)
	}
	m, ridge, r2, err := fitAffine(a, b, seed)
	if err != nil {
		return SharedTokens{}, err
	}
	if err := compose(from, to, m); err != nil {
		return SharedTokens{}, err
	}
	scale, err := rescale(ctx, to, features, float64(to.Info.Language.TokenNorm))
	return SharedTokens{Tokens: n, R2: r2, Ridge: ridge, Scale: scale}, err
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

// ridges are tried as multiples of the mean squared norm of a column.
var ridges = []float64{1e-4, 1e-3, 1e-2, 1e-1, 1}

// fitAffine returns M [Dold+1, Dnew] that minimises ‖[A 1]·M − B‖² plus a ridge
// on all but the constant row. The ridge is the one that is best on a fifth of
// the rows when fitted to the rest; the map is then fitted to all.
func fitAffine(a, b *mat.Dense, seed uint64) (m *mat.Dense, ridge, r2 float64, err error) {
	n, _ := a.Dims()
	order := rand.New(rand.NewPCG(seed, 0x726964)).Perm(n)
	held := max(1, n/5)
	fitA, fitB := rowsOf(a, order[held:]), rowsOf(b, order[held:])
	outA, outB := rowsOf(a, order[:held]), rowsOf(b, order[:held])
	r2 = math.Inf(-1)
	for _, lambda := range ridges {
		w, err := solveRidge(fitA, fitB, lambda)
		if err != nil {
			return nil, 0, 0, err
		}
		if score := explained(outA, outB, w); score > r2 {
			ridge, r2 = lambda, score
		}
	}
	m, err = solveRidge(a, b, ridge)
	return m, ridge, r2, err
}

func solveRidge(a, b *mat.Dense, lambda float64) (*mat.Dense, error) {
	x := withOnes(a)
	var gram, right mat.Dense
	gram.Mul(x.T(), x)
	right.Mul(x.T(), b)
	_, d := a.Dims()
	norm := mat.Norm(a, 2)
	for i := range d {
		gram.Set(i, i, gram.At(i, i)+lambda*norm*norm/float64(d))
	}
	gram.Set(d, d, gram.At(d, d)+1e-9)
	var m mat.Dense
	if err := m.Solve(&gram, &right); err != nil {
		return nil, fmt.Errorf("least squares over shared tokens: %w", err)
	}
	return &m, nil
}

// explained is R²: 1 − residual / variance.
func explained(a, b, m *mat.Dense) float64 {
	var got mat.Dense
	got.Mul(withOnes(a), m)
	n, d := b.Dims()
	var residual, variance float64
	for c := range d {
		mean := mat.Sum(b.ColView(c)) / float64(n)
		for r := range n {
			residual += sq(got.At(r, c) - b.At(r, c))
			variance += sq(b.At(r, c) - mean)
		}
	}
	return 1 - residual/variance
}

func sq(x float64) float64 { return x * x }

func withOnes(a *mat.Dense) *mat.Dense {
	n, d := a.Dims()
	x := mat.NewDense(n, d+1, nil)
	x.Slice(0, n, 0, d).(*mat.Dense).Copy(a)
	for r := range n {
		x.Set(r, d, 1)
	}
	return x
}

func rowsOf(a *mat.Dense, rows []int) *mat.Dense {
	_, d := a.Dims()
	out := mat.NewDense(len(rows), d, nil)
	for i, r := range rows {
		out.SetRow(i, slices.Clone(a.RawRowView(r)))
	}
	return out
}

// compose sets to's projection to M after from's: y = (x·Wᵀ + b)·M' + m0.
func compose(from, to *bridge.Bridge, m *mat.Dense) error {
	w, bias, err := from.Projection()
	if err != nil {
		return err
	}
	oldWidth, width := len(bias), from.Config().HiddenSize
	_, newWidth := m.Dims()
	linear := m.Slice(0, oldWidth, 0, newWidth)
	var w2, b2 mat.Dense
	w2.Mul(linear.T(), mat.NewDense(oldWidth, width, float64s(w)))
	b2.Mul(mat.NewDense(1, oldWidth, float64s(bias)), linear)
	newBias := make([]float32, newWidth)
	for c := range newBias {
		newBias[c] = float32(b2.At(0, c) + m.At(oldWidth, c))
	}
	return to.SetProjection(float32s(w2.RawMatrix().Data), newBias)
}

// rescale brings the mean norm of the soft prompts of some pictures to norm and
// returns the factor.
func rescale(ctx context.Context, b *bridge.Bridge, features *adapters.Tensor, norm float64) (float64, error) {
	prompts, err := b.SoftPrompts(ctx, features)
	if err != nil {
		return 0, err
	}
	scale := norm / MeanNorm(prompts)
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

// MeanNorm returns the mean L2 norm of the vectors along the last axis of a
// float32 tensor.
func MeanNorm(t *adapters.Tensor) float64 {
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

func float64s(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

func float32s(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}
