package train

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/affine"
)

// vocabulary shows made-up token embeddings.
type vocabulary struct {
	surfaces []string
	rows     *mat.Dense
}

func (v vocabulary) EmbedTokens(context.Context, *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	n, d := v.rows.Dims()
	return &adapters.EmbedTokensResponse{Surfaces: v.surfaces, Embeddings: adapters.FromFloat32(affine.Float32s(v.rows.RawMatrix().Data), n, d)}, nil
}

func random(rng *rand.Rand, n, d int) *mat.Dense {
	m := mat.NewDense(n, d, nil)
	for i := range m.RawMatrix().Data {
		m.RawMatrix().Data[i] = rng.NormFloat64()
	}
	return m
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
