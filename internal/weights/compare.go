package weights

import (
	"bytes"
	"math"
	"slices"
	"unsafe"

	"github.com/nlpodyssey/safetensors"
)

// compared is the number of elements that SameValues converts at a time.
const compared = 64 << 10

// SameValues reports whether two float tensors have the same shape and values. If their types
// differ, one may be the rounded copy of the other: float32 values are rounded to the other type
// (to nearest, ties to even). Values of float16 and bfloat16 may differ by the sum of both types'
// rounding errors, because neither type holds the other's values. Other types must have the same
// bytes. Both tensors are read once, in pieces.
func (v View) SameValues(other View) bool {
	if !slices.Equal(v.Shape, other.Shape) {
		return false
	}
	if v.DType == other.DType && bytes.Equal(v.Data, other.Data) {
		return true
	}
	if !isFloat(v.DType) || !isFloat(other.DType) {
		return false
	}
	same := sameIn(v.DType, other.DType)
	a, b := v.pieces(), other.pieces()
	for i := range a {
		if !sameFloats(a[i], b[i], same) {
			return false
		}
	}
	return true
}

// pieces cuts a tensor into vectors of at most compared elements.
func (v View) pieces() (all []View) {
	size := int(v.DType.Size())
	for data := range slices.Chunk(v.Data, compared*size) {
		all = append(all, View{DType: v.DType, Shape: []int{len(data) / size}, Data: data})
	}
	return all
}

func sameFloats(a, b View, same func(x, y float32) bool) bool {
	x, errX := a.Float32s()
	y, errY := b.Float32s()
	if errX != nil || errY != nil || len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] && !bothNaN(x[i], y[i]) && !same(x[i], y[i]) {
			return false
		}
	}
	return true
}

func bothNaN(x, y float32) bool { return math.IsNaN(float64(x)) && math.IsNaN(float64(y)) }

// sameIn returns the comparison of different values of two float types.
func sameIn(a, b safetensors.DType) func(x, y float32) bool {
	f, g := formats[a], formats[b]
	switch {
	case a == b:
		return func(_, _ float32) bool { return false }
	case a == safetensors.F32:
		return func(x, y float32) bool { return g.round(x) == y }
	case b == safetensors.F32:
		return func(x, y float32) bool { return x == f.round(y) }
	}
	return func(x, y float32) bool {
		return math.Abs(float64(x)-float64(y)) <= f.error(x, y)+g.error(x, y)
	}
}

// format is a float type of 16 bits.
type format struct {
	bits     int     // of the significand, with the leading one
	exponent int     // of the smallest normal number
	largest  float64 // finite number
}

var formats = map[safetensors.DType]format{
	safetensors.F16:  {bits: 11, exponent: -14, largest: 65504},
	safetensors.BF16: {bits: 8, exponent: -126, largest: 0x1.fep127},
}

// spacing returns the distance of the type's numbers around x.
func (f format) spacing(x float64) float64 {
	_, e := math.Frexp(x) // |x| in [½, 1) · 2^e
	return math.Ldexp(1, max(e-1, f.exponent)-f.bits+1)
}

// round returns the type's number that is next to x; of two, the even one. float16.FromFloat32 of
// github.com/gomlx/compute v0.1.3 is not used, because it returns zero for subnormal numbers.
func (f format) round(x float32) float32 {
	e := int(math.Float32bits(x)>>23&0xff) - 127 // |x| in [1, 2) · 2^e, or x is subnormal
	unit := max(e, f.exponent) - f.bits + 1      // exponent of the spacing
	// Beside 1.5 · 2^52 units, float64 has whole units alone.
	magic := 1.5 * math.Float64frombits(uint64(unit+52+1023)<<52)
	rounded := float64(x) + magic - magic
	if math.Abs(rounded) > f.largest {
		rounded = math.Inf(int(math.Copysign(1, rounded)))
	}
	return float32(rounded)
}

// error returns the largest error of rounding a number whose roundings are x and y.
func (f format) error(x, y float32) float64 {
	return f.spacing(max(math.Abs(float64(x)), math.Abs(float64(y)))) / 2
}

// MappedIn returns the view as one of a mapping that [MapFile] returned, so that [View.Release]
// releases its memory, if its data is there. Otherwise it returns the view unchanged.
func (v View) MappedIn(mapping []byte) View {
	if len(v.Data) == 0 || len(mapping) == 0 {
		return v
	}
	begin, at := uintptr(unsafe.Pointer(unsafe.SliceData(mapping))), uintptr(unsafe.Pointer(unsafe.SliceData(v.Data)))
	v.mapped = v.mapped || at >= begin && at+uintptr(len(v.Data)) <= begin+uintptr(len(mapping))
	return v
}
