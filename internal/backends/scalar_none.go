//go:build !goexperiment.simd || !amd64

package backends

// slowScalars is false: without vectors nothing slows down exponentials.
const slowScalars = false
