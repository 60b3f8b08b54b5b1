package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/affine"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/qformer"
)

// A swap from a language model of width 6 to one of width 4, of a bridge of
// width 16.
const (
	oldWidth, newWidth, hidden = 6, 4, 16
	newNorm                    = 2.5 // of the new model's tokens
)

// swapped returns a bridge whose projection is known, bias included, one that is
// to take it over, and features of some pictures.
func swapped(t *testing.T, rng *rand.Rand) (from, to *bridge.Bridge, w, bias *mat.Dense, features *adapters.Tensor) {
	t.Helper()
	c := qformer.Base()
	c.HiddenSize, c.Layers, c.Heads, c.Intermediate, c.Queries = hidden, 1, 2, 16, 2
	c.EncoderWidth, c.Vocabulary, c.MaxPositions, c.ProjectionDim, c.InitStd = 8, 5, 4, 8, 0.2
	first, err := bridge.New(backends.ForTest(t), c, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Close)
	join := func(width int, norm float32) *bridge.Bridge {
		b, err := first.ForLanguage(adapters.LanguageSpec{Spec: adapters.Spec{ID: "tongue", Width: width}, TokenNorm: norm}, bridge.Templates{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	from, to = join(oldWidth, 1), join(newWidth, newNorm)
	w, bias = random(rng, oldWidth, hidden), random(rng, 1, oldWidth)
	if err := from.SetProjection(affine.Float32s(w.RawMatrix().Data), affine.Float32s(bias.RawMatrix().Data)); err != nil {
		t.Fatal(err)
	}
	features = adapters.NewTensor(adapters.Float32, 5, 3, 8)
	for i := range features.Float32s() {
		features.Float32s()[i] = float32(rng.NormFloat64())
	}
	return from, to, w, bias, features
}

// mustProject checks a projection against scale·(w·M + m0), the map m = [M; m0]
// after the projection w, bias.
func mustProject(t *testing.T, b *bridge.Bridge, w, bias, m *mat.Dense, scale, tolerance float64) {
	t.Helper()
	gotW, gotBias, err := b.Projection()
	if err != nil {
		t.Fatal(err)
	}
	for out := range newWidth {
		want := m.At(oldWidth, out)
		for k := range oldWidth {
			want += bias.At(0, k) * m.At(k, out)
		}
		if got := float64(gotBias[out]); math.Abs(got-scale*want) > tolerance {
			t.Errorf("bias %d is %g, want %g", out, got, scale*want)
		}
		for in := range hidden {
			want := 0.0
			for k := range oldWidth {
				want += w.At(k, in) * m.At(k, out)
			}
			if got := float64(gotW[out*hidden+in]); math.Abs(got-scale*want) > tolerance {
				t.Errorf("weight %d, %d is %g, want %g", out, in, got, scale*want)
			}
		}
	}
}

// A composition that dropped the old bias, or the map's constant, would begin a
// swap beside the tokens that it was carried through.
func TestComposeIsTheMapAfterTheProjection(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	from, to, w, bias, _ := swapped(t, rng)
	m := random(rng, oldWidth+1, newWidth)
	if err := composeProjection(from, to, m); err != nil {
		t.Fatal(err)
	}
	mustProject(t, to, w, bias, m, 1, 1e-5)
	gotW, gotBias := must(from.Projection())
	if !slices.Equal(gotW, affine.Float32s(w.RawMatrix().Data)) || !slices.Equal(gotBias, affine.Float32s(bias.RawMatrix().Data)) {
		t.Error("the old bridge was changed")
	}
}

// Soft prompts of another norm than tokens have would be noise to the model.
func TestRescaleMeetsTheTokenNorm(t *testing.T) {
	_, to, _, _, features := swapped(t, rand.New(rand.NewPCG(9, 10)))
	bias := []float32{1, -2, 0.5, 3}
	w, _ := must(to.Projection())
	if err := to.SetProjection(w, bias); err != nil {
		t.Fatal(err)
	}
	scale, err := rescale(t.Context(), to, features, newNorm)
	if err != nil {
		t.Fatal(err)
	}
	prompts, err := to.SoftPrompts(t.Context(), features)
	if err != nil {
		t.Fatal(err)
	}
	if got := meanNorm(prompts); math.Abs(got-newNorm) > 1e-4 || math.Abs(scale-1) < 1e-3 {
		t.Errorf("the prompts' norm is %g after scaling by %g, want %g", got, scale, newNorm)
	}
	gotW, gotBias := must(to.Projection())
	for i, v := range w {
		if math.Abs(float64(gotW[i])-scale*float64(v)) > 1e-5 {
			t.Errorf("weight %d is %g, want %g", i, gotW[i], scale*float64(v))
		}
	}
	for i, v := range bias {
		if math.Abs(float64(gotBias[i])-scale*float64(v)) > 1e-5 {
			t.Errorf("bias %d is %g, want %g", i, gotBias[i], scale*float64(v))
		}
	}
}

// The whole of a swap's start: tokens of two vocabularies that share all but a
// few of their texts, in another order, and embeddings of which the new are an
// affine map of the old.
func TestCarryProjectionFollowsTheMapBetweenTheTokens(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	from, to, w, bias, features := swapped(t, rng)
	const n = 300
	old := vocabulary{rows: random(rng, n, oldWidth)}
	m := random(rng, oldWidth+1, newWidth)
	mapped := affine.Apply(old.rows, m)
	young := vocabulary{rows: mat.NewDense(n, newWidth, nil), surfaces: make([]string, n)}
	for i := range n {
		text := fmt.Sprintf(" word%d", i)
		old.surfaces = append(old.surfaces, text)
		at := (i*7 + 5) % n
		if i%10 == 0 { // one that only the old model has; the new has noise there
			young.surfaces[at] = text + "!"
			young.rows.SetRow(at, random(rng, 1, newWidth).RawRowView(0))
			continue
		}
		young.surfaces[at] = text
		young.rows.SetRow(at, mapped.RawRowView(i))
	}
	shared, err := transferProjection(t.Context(), from, to, old, young, features, affine.Ridge, 1)
	if err != nil {
		t.Fatal(err)
	}
	if shared.Rows != n-n/10 || shared.R2 < 0.999 {
		t.Errorf("carried over through %+v, want %d tokens and an exact map", shared, n-n/10)
	}
	mustProject(t, to, w, bias, m, shared.Scale, 0.02*shared.Scale)
	prompts, err := to.SoftPrompts(t.Context(), features)
	if err != nil {
		t.Fatal(err)
	}
	if got := meanNorm(prompts); math.Abs(got-newNorm) > 1e-4 {
		t.Errorf("the prompts' norm is %g, want the new model's %g", got, newNorm)
	}
}

func must(w, bias []float32, err error) ([]float32, []float32) {
	if err != nil {
		panic(err)
	}
	return w, bias
}
