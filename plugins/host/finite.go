package host

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/modular-bridging/bridge/adapters"
)

// namedTensor is a tensor of a response, with its name in errors.
type namedTensor struct {
	name   string
	tensor *adapters.Tensor // may be nil
}

// checkFinite returns an error that names the first NaN or infinity in a response.
func checkFinite(op string, processError func() *ProcessError, answer ...namedTensor) error {
	for _, a := range answer {
		if i := firstNonFinite(a.tensor); i >= 0 {
			values, _ := a.tensor.ToFloat32() // firstNonFinite has checked the type
			return &adapters.Error{
				Kind: adapters.Corrupt, Op: op, Field: a.name, Err: processError(),
				Message: fmt.Sprintf("%s%s is %v, want a finite number", a.name, adapters.ShapeString(coordinates(i, a.tensor.Shape)), values[i]),
				Remedy:  `the model's weights may be damaged, or its dtype too narrow: try dtype = "float32"`,
			}
		}
	}
	return nil
}

// firstNonFinite returns the index of the first NaN or infinity in a float tensor, or −1 if
// all elements are finite.
func firstNonFinite(t *adapters.Tensor) int {
	if t == nil || (t.DType != adapters.Float32 && t.DType != adapters.BFloat16) {
		return -1
	}
	// The exponent of a NaN or an infinity is all ones. Adding 1 to it overflows into the
	// sign's bit, without a carry into the next element.
	exponent, one, sign := uint64(0x7f80_0000_7f80_0000), uint64(0x0080_0000_0080_0000), uint64(0x8000_0000_8000_0000)
	if t.DType == adapters.BFloat16 {
		exponent, one, sign = 0x7f80_7f80_7f80_7f80, 0x0080_0080_0080_0080, 0x8000_8000_8000_8000
	}
	var a, b, c, d uint64
	look := func(words []byte) {
		for ; len(words) >= 32; words = words[32:] { // four words at a time take half the time
			a |= binary.LittleEndian.Uint64(words)&exponent + one
			b |= binary.LittleEndian.Uint64(words[8:])&exponent + one
			c |= binary.LittleEndian.Uint64(words[16:])&exponent + one
			d |= binary.LittleEndian.Uint64(words[24:])&exponent + one
		}
	}
	look(t.Data)
	var last [32]byte
	copy(last[:], t.Data[len(t.Data)/32*32:])
	look(last[:])
	if (a|b|c|d)&sign == 0 {
		return -1
	}
	values, _ := t.ToFloat32()
	for i, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return i
		}
	}
	return -1
}

// coordinates returns the index of element i along each axis of a shape.
func coordinates(i int, shape []int) []int {
	at := make([]int, len(shape))
	for axis := len(shape) - 1; axis >= 0; axis-- {
		at[axis], i = i%shape[axis], i/shape[axis]
	}
	return at
}
