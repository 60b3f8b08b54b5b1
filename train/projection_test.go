package train

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
)

// vocabulary shows made-up token embeddings.
type vocabulary struct {
	surfaces []string
	rows     *mat.Dense
}

func (v vocabulary) EmbedTokens(context.Context, *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	n, d := v.rows.Dims()
	return &adapters.EmbedTokensResponse{Surfaces: v.surfaces, Embeddings: adapters.FromFloat32(float32s(v.rows.RawMatrix().Data), n, d)}, nil
}

func random(rng *rand.Rand, n, d int) *mat.Dense {
	m := mat.NewDense(n, d, nil)
	for i := range m.RawMatrix().Data {
		m.RawMatrix().Data[i] = rng.NormFloat64()
	}
	return m
}

func TestFitAffineFindsTheMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, w := random(rng, 200, 6), random(rng, 7, 4)
	var b mat.Dense
	b.Mul(withOnes(a), w)
	m, ridge, r2, err := fitAffine(a, &b, 1)
	if err != nil {
		t.Fatal(err)
	}
	if r2 < 0.999 || ridge != ridges[0] {
		t.Errorf("R² %g with ridge %g on an exact map", r2, ridge)
	}
	for i, want := range w.RawMatrix().Data {
		if got := m.RawMatrix().Data[i]; math.Abs(got-want) > 0.01 {
			t.Errorf("element %d: got %g, want %g", i, got, want)
		}
	}
}

func TestFitAffineChoosesAStrongRidgeForNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	_, ridge, r2, err := fitAffine(random(rng, 40, 20), random(rng, 40, 5), 1)
	if err != nil {
		t.Fatal(err)
	}
	if ridge != ridges[len(ridges)-1] || r2 > 0.3 {
		t.Errorf("ridge %g, R² %g on noise", ridge, r2)
	}
}

func TestSharedEmbeddingsPairsEqualTexts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	old := vocabulary{[]string{" dog", "", "cat", " dog", " fox"}, random(rng, 5, 3)}
	young := vocabulary{[]string{" fox", " owl", "", " dog"}, random(rng, 4, 2)}
	a, b, err := sharedEmbeddings(t.Context(), old, young)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := a.Dims(); n != 2 {
		t.Fatalf("%d shared tokens, want 2: dog once, fox", n)
	}
	for pair, rows := range [][2]int{{0, 3}, {4, 0}} {
		for c, want := range old.rows.RawRowView(rows[0]) {
			if math.Abs(a.At(pair, c)-want) > 1e-6 {
				t.Errorf("pair %d: old embedding %v", pair, a.RawRowView(pair))
			}
		}
		for c, want := range young.rows.RawRowView(rows[1]) {
			if math.Abs(b.At(pair, c)-want) > 1e-6 {
				t.Errorf("pair %d: new embedding %v", pair, b.RawRowView(pair))
			}
		}
	}
}
