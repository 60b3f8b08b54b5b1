package weights

import (
	"testing"

	"github.com/nlpodyssey/safetensors"
)

// BenchmarkSameValues compares float32 weights with their copy in float16, as in a file of LAVIS.
func BenchmarkSameValues(b *testing.B) {
	const n = 1 << 20
	wide, narrow := make([]float32, n), make([]float32, n)
	for i := range wide {
		narrow[i] = float32(0x2000 + i%0x1000) // bits of numbers from 2^-7 to 2^-3
	}
	copied := floatView(safetensors.F16, narrow...)
	values, err := copied.Float32s()
	if err != nil {
		b.Fatal(err)
	}
	for i, x := range values {
		wide[i] = x * (1 + 0x1p-14)
	}
	original := floatView(safetensors.F32, wide...)
	b.SetBytes(int64(len(original.Data)))
	for b.Loop() {
		if !original.SameValues(copied) {
			b.Fatal("the copy differs")
		}
	}
}
