//go:build goexperiment.simd

package backends

const hasSIMD = true
