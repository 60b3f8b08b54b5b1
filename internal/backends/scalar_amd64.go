//go:build goexperiment.simd

package backends

import "simd/archsimd"

// slowScalars says that the Go backend's vectors slow down exponentials.
var slowScalars = archsimd.X86.AVX2() && archsimd.X86.FMA()
