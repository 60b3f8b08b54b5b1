//go:build !goexperiment.simd || !amd64

package optim

// updateVectors updates nothing: this program was built without vectors.
func (s scalars) updateVectors(_, _, _, _ []float32) int { return 0 }
