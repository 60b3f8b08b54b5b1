package affine

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

func random(rng *rand.Rand, n, d int) *mat.Dense {
	m := mat.NewDense(n, d, nil)
	for i := range m.RawMatrix().Data {
		m.RawMatrix().Data[i] = rng.NormFloat64()
	}
	return m
}

func mustEqual(t *testing.T, what string, got, want *mat.Dense, tolerance float64) {
	t.Helper()
	var difference mat.Dense
	difference.Sub(got, want)
	if far := mat.Max(&difference) - mat.Min(&difference); far > tolerance {
		t.Errorf("%s is off by up to %g", what, far)
	}
}

func TestRidgeFindsTheMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, m := random(rng, 200, 6), random(rng, 7, 4)
	f, err := Ridge(a, Apply(a, m), 1)
	if err != nil {
		t.Fatal(err)
	}
	if f.R2 < 0.999 || f.Ridge != penalties[0] {
		t.Errorf("R² is %g with ridge %g for an exact map", f.R2, f.Ridge)
	}
	mustEqual(t, "the map", f.Map, m, 0.01)
}

func TestRidgeIsStrongOnNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	f, err := Ridge(random(rng, 40, 20), random(rng, 40, 5), 1)
	if err != nil {
		t.Fatal(err)
	}
	if f.Ridge != penalties[len(penalties)-1] || f.R2 > 0.3 {
		t.Errorf("ridge is %g and R² %g for noise", f.Ridge, f.R2)
	}
}

func TestOrthogonalFindsAScaledRotation(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var qr mat.QR
	qr.Factorize(random(rng, 12, 12))
	var rotation mat.Dense
	qr.QTo(&rotation)
	m := mat.NewDense(13, 12, nil)
	m.Slice(0, 12, 0, 12).(*mat.Dense).Scale(2.5, &rotation)
	for c := range 12 {
		m.Set(12, c, float64(c))
	}
	a := random(rng, 20, 12)
	f, err := Procrustes(a, Apply(a, m), 1)
	if err != nil {
		t.Fatal(err)
	}
	if f.R2 < 0.99 {
		t.Errorf("R² %g", f.R2)
	}
	mustEqual(t, "the map", f.Map, m, 1e-6)
}

func TestOrthogonalBetweenWidths(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, widths := range [][2]int{{5, 9}, {9, 5}} {
		f, err := Procrustes(random(rng, 60, widths[0]), random(rng, 60, widths[1]), 1)
		if err != nil {
			t.Fatal(err)
		}
		if in, out := f.Map.Dims(); in != widths[0]+1 || out != widths[1] || math.IsNaN(mat.Norm(f.Map, 2)) {
			t.Errorf("%v: the map is %d×%d with norm %g", widths, in, out, mat.Norm(f.Map, 2))
		}
	}
}
