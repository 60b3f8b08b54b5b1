package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// An encoder whose features are the old one's in another order, each twice, is
// seen through a folded map as the old one was.
func TestFoldedEncoderIsSeenAsTheOldOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	from, _, _, _, _ := swapped(t, rng)
	const pictures, tokens, width = 60, 5, 8
	old := adapters.NewTensor(adapters.Float32, pictures, tokens, width)
	for i := range old.Float32s() {
		old.Float32s()[i] = float32(rng.NormFloat64())
	}
	order := append(rng.Perm(width), rng.Perm(width)...)
	young := adapters.NewTensor(adapters.Float32, pictures, tokens, 2*width)
	for i := range pictures * tokens {
		for c, source := range order {
			young.Float32s()[i*2*width+c] = old.Float32s()[i*width+source]
		}
	}
	to, err := from.ForEncoder(t.Context(), adapters.VisionSpec{Spec: adapters.Spec{ID: "other eye", Width: 2 * width}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(to.Close)
	before, err := to.Queries(t.Context(), young)
	if err != nil {
		t.Fatal(err)
	}
	f, err := FoldEncoder(from, to, old, young, 1)
	if err != nil {
		t.Fatal(err)
	}
	if f.R2 < 0.999 {
		t.Errorf("R² %g of an exact map", f.R2)
	}
	want, err := from.Queries(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	got, err := to.Queries(t.Context(), young)
	if err != nil {
		t.Fatal(err)
	}
	if far := distance(got, want); far > 1e-2 {
		t.Errorf("queries are off by up to %g", far)
	}
	if far := distance(before, want); far < 0.1 {
		t.Errorf("fresh cross-attention gives nearly the same queries (%g), so that this test says nothing", far)
	}
	if to.Info.Vision.ID != "other eye" || to.Info.Retrieval != nil || to.Info.Language.ID != from.Info.Language.ID {
		t.Errorf("the swapped bridge says %+v", to.Info)
	}
}

func distance(a, b *adapters.Tensor) (far float64) {
	for i, v := range a.Float32s() {
		far = max(far, math.Abs(float64(v-b.Float32s()[i])))
	}
	return far
}

func TestMatchPositions(t *testing.T) {
	for _, c := range []struct {
		old, young int
		want       []int
	}{
		{5, 5, []int{0, 1, 2, 3, 4}},
		{5, 2, []int{0, 4}}, // one patch: around its middle
		{10, 5, []int{0, 1, 3, 7, 9}},
		{5, 17, []int{0, 1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4}},
		{5, 4, []int{1, 2, 3, 4}}, // no class token in the new
	} {
		got, err := matchPositions(c.old, c.young)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%d to %d: %v (%v), want %v", c.old, c.young, got, err, c.want)
		}
	}
	for _, c := range [][2]int{{7, 5}, {5, 7}, {4, 5}} {
		if _, err := matchPositions(c[0], c[1]); adapters.KindOf(err) != adapters.Unsupported {
			t.Errorf("%v: got %v, want an error of kind unsupported", c, err)
		}
	}
}

// Each query stands for its part of the way through the caption.
func TestQueryTokensAreInOrder(t *testing.T) {
	queries := adapters.NewTensor(adapters.Float32, 2, 4, 1)
	for i := range queries.Float32s() {
		queries.Float32s()[i] = float32(i)
	}
	tokens := &adapters.EmbedTokensResponse{Counts: []int32{2, 3}, Embeddings: adapters.FromFloat32([]float32{10, 11, 20, 21, 22}, 5, 1)}
	a, b, err := queryTokens(queries, tokens)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.RawMatrix().Data, []float64{0, 1, 2, 3, 4, 5, 6, 7}) || !slices.Equal(b.RawMatrix().Data, []float64{10, 10, 11, 11, 20, 20, 21, 22}) {
		t.Errorf("queries %v stand for %v", a.RawMatrix().Data, b.RawMatrix().Data)
	}
}
