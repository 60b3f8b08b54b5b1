package weights

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/dtypes/float16"
	"github.com/nlpodyssey/safetensors"
)

func floatView(dtype safetensors.DType, values ...float32) View {
	var data []byte
	for _, x := range values {
		switch dtype {
		case safetensors.F32:
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		case safetensors.BF16:
			data = binary.LittleEndian.AppendUint16(data, bfloat16.FromFloat32(x).Bits())
		case safetensors.F16:
			data = binary.LittleEndian.AppendUint16(data, uint16(x)) // bits
		}
	}
	return View{DType: dtype, Shape: []int{len(values)}, Data: data}
}

// Every float16 is the rounding of the float32 numbers up to the middle of its neighbours, and a
// middle belongs to the even one.
func TestRoundingToFloat16(t *testing.T) {
	f := formats[safetensors.F16]
	at := func(bits int) float32 { return float16.FromBits(uint16(bits)).Float32() }
	for bits := range 0x7bff {
		x, y := at(bits), at(bits+1)
		middle := (x + y) / 2
		even := x
		if bits%2 == 1 {
			even = y
		}
		below, above := math.Nextafter32(middle, 0), math.Nextafter32(middle, math.MaxFloat32)
		if f.round(x) != x || f.round(middle) != even || f.round(below) != x || f.round(above) != y || f.round(-above) != -y {
			t.Fatalf("around %g (%#x): %g, %g, %g, %g", x, bits, f.round(x), f.round(middle), f.round(below), f.round(above))
		}
	}
	if f.round(65519) != 65504 || !math.IsInf(float64(f.round(65520)), 1) || !math.IsInf(float64(f.round(-1e30)), -1) {
		t.Errorf("at the end: %g, %g, %g", f.round(65519), f.round(65520), f.round(-1e30))
	}
}

// The rounding to bfloat16 is the library's for normal and subnormal numbers.
func TestRoundingToBFloat16(t *testing.T) {
	f := formats[safetensors.BF16]
	for bits := uint32(0); bits < 0x7f80_0000; bits += 30_011 {
		x := math.Float32frombits(bits)
		if got, want := f.round(x), bfloat16.FromFloat32(x).Float32(); got != want {
			t.Fatalf("%g (%#x): %g, want %g", x, bits, got, want)
		}
	}
}

func TestSameValues(t *testing.T) {
	nan, zero := float32(math.NaN()), float32(math.Copysign(0, -1))
	f32 := func(values ...float32) View { return floatView(safetensors.F32, values...) }
	bf16 := func(values ...float32) View { return floatView(safetensors.BF16, values...) }
	f16 := func(bits ...float32) View { return floatView(safetensors.F16, bits...) }
	long := make([]float32, compared+3)
	other := append([]float32{}, long...)
	other[compared+2] = 1e-30
	for name, c := range map[string]struct {
		a, b View
		want bool
	}{
		"equal":                       {f32(1, 2), f32(1, 2), true},
		"one bit":                     {f32(1), f32(math.Nextafter32(1, 2)), false},
		"signs of zero":               {f32(0), f32(zero), true},
		"not a number":                {f32(nan), f32(nan), true},
		"not a number in one":         {f32(nan), f32(1), false},
		"another shape":               {f32(1, 1), f32(1), false},
		"rounded to bfloat16":         {f32(0.1, 1e-40), bf16(0.1, 1e-40), true},
		"the next bfloat16":           {f32(0.1), bf16(0.1005), false},
		"rounded to float16":          {f16(0x2e66), f32(0.1), true},
		"the next float16":            {f16(0x2e67), f32(0.1), false},
		"a subnormal of float16":      {f32(3 * 0x1p-24), f16(3), true},
		"both rounded":                {f16(0x2e66), bf16(0.1), true},
		"rounded from others":         {f16(0x2e66), bf16(0.101), false},
		"a late difference":           {f32(long...), f32(other...), false},
		"integers":                    {View{DType: safetensors.I32, Shape: []int{1}, Data: []byte{1, 0, 0, 0}}, View{DType: safetensors.I32, Shape: []int{1}, Data: []byte{1, 0, 0, 0}}, true},
		"integers that differ":        {View{DType: safetensors.I32, Shape: []int{1}, Data: []byte{1, 0, 0, 0}}, View{DType: safetensors.I32, Shape: []int{1}, Data: []byte{2, 0, 0, 0}}, false},
		"an integer's bytes as float": {View{DType: safetensors.I32, Shape: []int{1}, Data: f32(1).Data}, f32(1), false},
	} {
		if got, back := c.a.SameValues(c.b), c.b.SameValues(c.a); got != c.want || back != c.want {
			t.Errorf("%s: %v, and %v the other way round, want %v", name, got, back, c.want)
		}
	}
}

func TestMappedIn(t *testing.T) {
	mapping := make([]byte, 64)
	for name, c := range map[string]struct {
		data []byte
		want bool
	}{"inside": {mapping[8:64], true}, "elsewhere": {make([]byte, 64), false}, "empty": {nil, false}} {
		if got := (View{Data: c.data}).MappedIn(mapping); got.mapped != c.want {
			t.Errorf("%s: %v", name, got.mapped)
		}
	}
}
