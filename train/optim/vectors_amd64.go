//go:build goexperiment.simd

package optim

import "simd/archsimd"

// updateVectors is update for the first elements, eight at a time, with the same bits. It returns their number.
func (s scalars) updateVectors(value, gradient, m, v []float32) int {
	const width = 8
	n := len(value) / width * width
	if n == 0 || !archsimd.X86.AVX2() {
		return 0
	}
	c, all := s.config, archsimd.BroadcastFloat32x8
	b1, r1, b2, r2 := all(float32(c.Beta1)), all(float32(1-c.Beta1)), all(float32(c.Beta2)), all(float32(1-c.Beta2))
	clip, keep, size, correction := all(s.clip), all(s.keep), all(s.size), all(s.correction)
	epsilon, little := all(float32(c.Epsilon)), all(idle)
	for i := 0; i < n; i += width {
		g := archsimd.LoadFloat32x8Slice(gradient[i:]).Mul(clip).Add(little)
		first := archsimd.LoadFloat32x8Slice(m[i:]).Mul(b1).Add(g.Mul(r1))
		second := archsimd.LoadFloat32x8Slice(v[i:]).Mul(b2).Add(g.Mul(g).Mul(r2))
		denominator := second.Sqrt().Div(correction).Add(epsilon)
		next := archsimd.LoadFloat32x8Slice(value[i:]).Mul(keep).Sub(first.Div(denominator).Mul(size))
		first.StoreSlice(m[i:])
		second.StoreSlice(v[i:])
		next.StoreSlice(value[i:])
	}
	archsimd.ClearAVXUpperBits()
	return n
}
