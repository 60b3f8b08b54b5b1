// Package affine fits affine maps between two vector spaces with pairs of corresponding vectors,
// such as token embeddings of two language models or features of two encoders. It has only the
// linear algebra, and must not know the meaning of the vectors.
//
// A map is a matrix [in+1, out] whose last row is the constant: row x maps to [x 1]·M. Fits depend
// only on their arguments and the seed.
package affine

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
)

// Fit is an affine map, with its quality on held-out rows.
type Fit struct {
	Map   *mat.Dense // [in+1, out]
	R2    float64    // 1 − residual/variance on the held-out rows
	Ridge float64    // ridge penalty that was chosen on the held-out rows; 0 for [Procrustes]
}

// penalties are the ridge penalties to try, as multiples of the mean squared norm of a column.
var penalties = []float64{1e-4, 1e-3, 1e-2, 1e-1, 1}

// Ridge minimizes ‖[A 1]·M − B‖² plus a ridge penalty on all rows of M except the constant row. It
// chooses the penalty that is best on a held-out fifth of the rows, and then fits the map to all
// rows.
func Ridge(a, b *mat.Dense, seed uint64) (Fit, error) {
	fitA, fitB, outA, outB := holdOut(a, b, seed)
	best := Fit{R2: math.Inf(-1)}
	for _, lambda := range penalties {
		m, err := solveRidge(fitA, fitB, lambda)
		if err != nil {
			return Fit{}, err
		}
		if r2 := rSquared(outA, outB, m); r2 > best.R2 {
			best.Ridge, best.R2 = lambda, r2
		}
	}
	var err error
	best.Map, err = solveRidge(a, b, best.Ridge)
	return best, err
}

// Procrustes minimizes ‖[A 1]·M − B‖² over scaled rotations (orthogonal Procrustes). They preserve
// angles and ratios of lengths even if there are few rows. If the widths differ, the rotation maps
// into a subspace or out of one.
func Procrustes(a, b *mat.Dense, seed uint64) (Fit, error) {
	fitA, fitB, outA, outB := holdOut(a, b, seed)
	m, err := solveProcrustes(fitA, fitB)
	if err != nil {
		return Fit{}, err
	}
	f := Fit{R2: rSquared(outA, outB, m)}
	f.Map, err = solveProcrustes(a, b)
	return f, err
}

// Apply returns [A 1]·M.
func Apply(a, m *mat.Dense) *mat.Dense {
	n, d := a.Dims()
	_, out := m.Dims()
	y := mat.NewDense(n, out, nil)
	y.Mul(a, m.Slice(0, d, 0, out))
	for r := range n {
		row := y.RawRowView(r)
		for c, v := range m.RawRowView(d) {
			row[c] += v
		}
	}
	return y
}

// holdOut splits off a random fifth of the rows.
func holdOut(a, b *mat.Dense, seed uint64) (fitA, fitB, outA, outB *mat.Dense) {
	n, _ := a.Dims()
	order := rand.New(rand.NewPCG(seed, 0x726964)).Perm(n)
	held := max(1, n/5)
	return rowsOf(a, order[held:]), rowsOf(b, order[held:]), rowsOf(a, order[:held]), rowsOf(b, order[:held])
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
		return nil, fmt.Errorf("least squares: %w", err)
	}
	return &m, nil
}

func solveProcrustes(a, b *mat.Dense) (*mat.Dense, error) {
	meanA, meanB := columnMeans(a), columnMeans(b)
	x, y := subtractRow(a, meanA), subtractRow(b, meanB)
	var cross mat.Dense
	cross.Mul(x.T(), y)
	var svd mat.SVD
	if !svd.Factorize(&cross, mat.SVDThin) {
		return nil, errors.New("orthogonal map: the singular value decomposition failed")
	}
	var u, v, rotation mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	rotation.Mul(&u, v.T())
	var turned mat.Dense
	turned.Mul(x, &rotation)
	total := 0.0
	for _, s := range svd.Values(nil) {
		total += s
	}
	norm := mat.Norm(&turned, 2)
	rotation.Scale(total/(norm*norm), &rotation)

	in, out := rotation.Dims()
	m := mat.NewDense(in+1, out, nil)
	m.Slice(0, in, 0, out).(*mat.Dense).Copy(&rotation)
	var moved mat.Dense
	moved.Mul(mat.NewDense(1, in, meanA), &rotation)
	for c := range out {
		m.Set(in, c, meanB[c]-moved.At(0, c))
	}
	return m, nil
}

// rSquared returns R²: 1 − residual / variance.
func rSquared(a, b, m *mat.Dense) float64 {
	var difference mat.Dense
	difference.Sub(Apply(a, m), b)
	residual := mat.Norm(&difference, 2)
	variance := mat.Norm(subtractRow(b, columnMeans(b)), 2)
	return 1 - residual*residual/(variance*variance)
}

func columnMeans(m *mat.Dense) []float64 {
	n, d := m.Dims()
	means := make([]float64, d)
	for r := range n {
		for c, v := range m.RawRowView(r) {
			means[c] += v / float64(n)
		}
	}
	return means
}

func subtractRow(m *mat.Dense, row []float64) *mat.Dense {
	out := mat.DenseCopyOf(m)
	n, _ := out.Dims()
	for r := range n {
		for c, v := range row {
			out.RawRowView(r)[c] -= v
		}
	}
	return out
}

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
		out.SetRow(i, a.RawRowView(r))
	}
	return out
}

// Float64s converts weights to the type of this package's arithmetic.
func Float64s(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// Float32s converts results to the type of weights.
func Float32s(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}
