package adapters

import (
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// DType is the element type of a [Tensor]. The values cross the process
// boundary: they are append-only.
type DType uint8

// The element types that the contracts use.
const (
	InvalidDType DType = iota
	Uint8              // pictures
	Int32              // counts and indices
	Float32
	BFloat16
)

// Size returns the bytes of one element, 0 for an unknown type.
func (d DType) Size() int {
	switch d {
	case Uint8:
		return 1
	case BFloat16:
		return 2
	case Int32, Float32:
		return 4
	}
	return 0
}

// String returns the name that specs and errors use: "uint8", "float32", ….
func (d DType) String() string {
	switch d {
	case Uint8:
		return "uint8"
	case Int32:
		return "int32"
	case Float32:
		return "float32"
	case BFloat16:
		return "bfloat16"
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Tensor is a dense array in host memory: C-contiguous, little-endian.
type Tensor struct {
	DType DType
	Shape []int
	Data  []byte
}

// NewTensor returns a zeroed tensor. Its data is aligned for any element type.
func NewTensor(dtype DType, shape ...int) *Tensor {
	n := Elements(shape)
	t := &Tensor{DType: dtype, Shape: slices.Clone(shape)}
	switch dtype.Size() {
	case 4:
		t.Data = bytesOf(make([]float32, n))
	case 2:
		t.Data = bytesOf(make([]uint16, n))
	default:
		t.Data = make([]byte, n*dtype.Size())
	}
	return t
}

// FromFloat32 wraps values, without a copy, as float32[shape...].
func FromFloat32(values []float32, shape ...int) *Tensor {
	return &Tensor{DType: Float32, Shape: slices.Clone(shape), Data: bytesOf(values)}
}

// FromInt32 wraps values, without a copy, as int32[shape...].
func FromInt32(values []int32, shape ...int) *Tensor {
	return &Tensor{DType: Int32, Shape: slices.Clone(shape), Data: bytesOf(values)}
}

// FromUint8 wraps values, without a copy, as uint8[shape...].
func FromUint8(values []uint8, shape ...int) *Tensor {
	return &Tensor{DType: Uint8, Shape: slices.Clone(shape), Data: values}
}

// Elements returns the product of shape, 1 for a scalar.
func Elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// Rank returns the number of axes.
func (t *Tensor) Rank() int { return len(t.Shape) }

// Float32s returns the elements of a float32 tensor without a copy. It panics
// on another type: check the tensor first, or use [Tensor.ToFloat32].
func (t *Tensor) Float32s() []float32 { return viewOf[float32](t, Float32) }

// Int32s returns the elements of an int32 tensor without a copy.
func (t *Tensor) Int32s() []int32 { return viewOf[int32](t, Int32) }

// ToFloat32 returns the elements of a float32 or bfloat16 tensor as float32,
// without a copy if the tensor holds float32.
func (t *Tensor) ToFloat32() ([]float32, error) {
	switch t.DType {
	case Float32:
		return t.Float32s(), nil
	case BFloat16:
		raw := viewOf[uint16](t, BFloat16)
		out := make([]float32, len(raw))
		for i, b := range raw {
			out[i] = math.Float32frombits(uint32(b) << 16)
		}
		return out, nil
	}
	return nil, Errorf(Invalid, "tensor is %s, want float32 or bfloat16", t.Describe())
}

// Row returns element i of the first axis, without a copy.
func (t *Tensor) Row(i int) *Tensor {
	n := Elements(t.Shape[1:]) * t.DType.Size()
	return &Tensor{DType: t.DType, Shape: t.Shape[1:], Data: t.Data[i*n : (i+1)*n]}
}

// Slice returns elements [lo, hi) of the first axis, without a copy.
func (t *Tensor) Slice(lo, hi int) *Tensor {
	n := Elements(t.Shape[1:]) * t.DType.Size()
	shape := slices.Clone(t.Shape)
	shape[0] = hi - lo
	return &Tensor{DType: t.DType, Shape: shape, Data: t.Data[lo*n : hi*n]}
}

// Gather returns the given elements of the first axis, copied, in their order.
func (t *Tensor) Gather(rows []int) *Tensor {
	shape := slices.Clone(t.Shape)
	shape[0] = len(rows)
	out := NewTensor(t.DType, shape...)
	for i, row := range rows {
		copy(out.Row(i).Data, t.Row(row).Data)
	}
	return out
}

// Describe returns "float32[2, 32, 768]".
func (t *Tensor) Describe() string {
	if t == nil {
		return "none"
	}
	return t.DType.String() + ShapeString(t.Shape)
}

// ShapeString returns "[2, 32, 768]".
func ShapeString(shape []int) string {
	s := "["
	for i, d := range shape {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprint(d)
	}
	return s + "]"
}

// Check returns an error of kind [Invalid] unless t has one of the types, the given shape
// (−1 means any size) and the right number of bytes. name names the tensor in the error,
// and is its field.
func (t *Tensor) Check(name string, shape []int, dtypes ...DType) error {
	if t == nil {
		return Errorf(Invalid, "%s is missing, want %v%s", name, dtypes, ShapeString(shape)).WithField("%s", name)
	}
	if !slices.Contains(dtypes, t.DType) {
		return Errorf(Invalid, "%s is %s, want dtype %v", name, t.Describe(), dtypes).WithField("%s", name)
	}
	ok := len(t.Shape) == len(shape)
	for i := 0; ok && i < len(shape); i++ {
		ok = t.Shape[i] >= 0 && (shape[i] < 0 || t.Shape[i] == shape[i])
	}
	if !ok {
		note := ""
		if slices.Contains(shape, -1) {
			note = " (-1 is any size)"
		}
		return Errorf(Invalid, "%s is %s, want shape %s%s", name, t.Describe(), ShapeString(shape), note).WithField("%s", name)
	}
	size, fits := byteSize(t.Shape, t.DType.Size())
	if !fits || size != len(t.Data) {
		return Errorf(Invalid, "%s is %s but holds %d bytes", name, t.Describe(), len(t.Data)).WithField("%s", name)
	}
	return nil
}

// byteSize multiplies with an overflow check.
func byteSize(shape []int, item int) (int, bool) {
	n := item
	for _, d := range shape {
		if d < 0 || (d > 0 && n > math.MaxInt/d) {
			return 0, false
		}
		n *= d
	}
	return n, true
}

func bytesOf[T float32 | int32 | uint16](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(v[0])))
}

// viewOf reinterprets t's bytes. It copies unaligned data (a tensor cut out of a larger
// message), because Go's memory model requires aligned elements.
func viewOf[T float32 | int32 | uint16](t *Tensor, want DType) []T {
	if t.DType != want {
		panic(fmt.Sprintf("adapters: %s read as %s", t.Describe(), want))
	}
	if len(t.Data) == 0 {
		return nil
	}
	var zero T
	size := int(unsafe.Sizeof(zero))
	n := len(t.Data) / size
	p := unsafe.Pointer(unsafe.SliceData(t.Data))
	if uintptr(p)%uintptr(size) != 0 {
		out := make([]T, n)
		copy(bytesOf(out), t.Data)
		return out
	}
	return unsafe.Slice((*T)(p), n)
}

// Convert returns t as float32 or bfloat16 (rounded to nearest even). It returns t itself if
// it has that type.
func (t *Tensor) Convert(dtype DType) (*Tensor, error) {
	if t.DType == dtype {
		return t, nil
	}
	values, err := t.ToFloat32()
	if err != nil {
		return nil, err
	}
	switch dtype {
	case Float32:
		return FromFloat32(values, t.Shape...), nil
	case BFloat16:
		out := NewTensor(BFloat16, t.Shape...)
		raw := viewOf[uint16](out, BFloat16)
		for i, v := range values {
			raw[i] = toBFloat16(v)
		}
		return out, nil
	}
	return nil, Errorf(Invalid, "conversion of %s to %s, want float32 or bfloat16", t.Describe(), dtype)
}

// toBFloat16 rounds to nearest even; NaN stays NaN.
func toBFloat16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
