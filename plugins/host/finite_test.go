package host

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestFirstNonFinite(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	for _, dtype := range []adapters.DType{adapters.Float32, adapters.BFloat16} {
		for n := range 20 {
			values := make([]float32, n)
			for i := range values {
				values[i] = []float32{0, 1, -1, math.MaxFloat32 / 2, -math.MaxFloat32 / 2, math.SmallestNonzeroFloat32}[i%6]
			}
			tensor, err := adapters.FromFloat32(values, n).Convert(dtype)
			if err != nil {
				t.Fatal(err)
			}
			if i := firstNonFinite(tensor); i != -1 {
				t.Errorf("%s, finite: got %d", tensor.Describe(), i)
			}
			for i := range values {
				for _, bad := range []float64{nan, inf, -inf} {
					spoiled := adapters.FromFloat32(slices.Clone(values), n)
					spoiled.Float32s()[i] = float32(bad)
					spoiled, err := spoiled.Convert(dtype)
					if err != nil {
						t.Fatal(err)
					}
					if got := firstNonFinite(spoiled); got != i {
						t.Errorf("%s with %v at %d: got %d", spoiled.Describe(), bad, i, got)
					}
				}
			}
		}
	}
	if got := fmt.Sprint(coordinates(23, []int{2, 3, 4}), coordinates(0, nil)); got != "[1 2 3] []" {
		t.Errorf("coordinates are %s", got)
	}
	if i := firstNonFinite(adapters.FromUint8(bytes.Repeat([]byte{0xff}, 64), 64)); i != -1 {
		t.Errorf("bytes are finite, got %d", i)
	}
}
