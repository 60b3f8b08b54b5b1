package decoder

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Rotary is a rotary position embedding (RoPE; Su et al., arXiv 2104.09864) in the layout
// of Hugging Face checkpoints: component i of a head rotates with component i + Dh/2.
type Rotary struct {
	// InverseFrequencies are the Dh/2 angles by which one position rotates, in float32
	// as transformers computes them (inv_freq).
	InverseFrequencies []float32
}

// NewRotary returns the embedding of heads of the given even width with base
// theta: theta^(−2i/Dh).
func NewRotary(headDim int, theta float64) *Rotary {
	r := &Rotary{InverseFrequencies: make([]float32, headDim/2)}
	for i := range r.InverseFrequencies {
		exponent := float32(2*i) / float32(headDim)
		r.InverseFrequencies[i] = 1 / float32(math.Pow(float64(float32(theta)), float64(exponent)))
	}
	return r
}

// Linear divides all angles by factor.
func (r *Rotary) Linear(factor float64) {
	for i := range r.InverseFrequencies {
		r.InverseFrequencies[i] /= float32(factor)
	}
}

// Llama3 slows down the angles of long waves as Llama 3.1 does (transformers,
// _compute_llama3_parameters in modeling_rope_utils.py): those longer than
// context/low are divided by factor, those shorter than context/high stay, the
// rest is interpolated.
func (r *Rotary) Llama3(factor, low, high, context float64) {
	for i, inverse := range r.InverseFrequencies {
		wave := float32(2*math.Pi) / inverse
		switch {
		case wave > float32(context/low):
			r.InverseFrequencies[i] = inverse / float32(factor)
		case wave >= float32(context/high):
			smooth := (float32(context)/wave - float32(low)) / float32(high-low)
			r.InverseFrequencies[i] = (1-smooth)*inverse/float32(factor) + smooth*inverse
		}
	}
}

// rotation holds the cosines and sines of a graph's positions, float32[B or 1, 1, T,
// Dh/2]. A nil rotation leaves heads as they are.
type rotation struct{ cos, sin *Node }

// at returns the rotation at positions int32[B or 1, T]; r may be nil.
func (r *Rotary) at(positions *Node) *rotation {
	if r == nil {
		return nil
	}
	d := positions.Shape().Dimensions
	dims := []int{d[0], 1, d[1], len(r.InverseFrequencies)}
	position := BroadcastToDims(Reshape(ConvertDType(positions, dtypes.Float32), d[0], 1, d[1], 1), dims...)
	inverse := Reshape(Const(positions.Graph(), r.InverseFrequencies), 1, 1, 1, len(r.InverseFrequencies))
	angle := Mul(position, BroadcastToDims(inverse, dims...))
	return &rotation{Cos(angle), Sin(angle)}
}

// apply rotates heads float[B, H, T, Dh].
func (t *rotation) apply(x *Node) *Node {
	if t == nil {
		return x
	}
	d := x.Shape().Dimensions
	half := d[3] / 2
	wide := ConvertDType(x, dtypes.Float32)
	first := Slice(wide, AxisRange(), AxisRange(), AxisRange(), AxisRange(0, half))
	second := Slice(wide, AxisRange(), AxisRange(), AxisRange(), AxisRange(half, d[3]))
	cos := BroadcastToDims(t.cos, d[0], d[1], d[2], half)
	sin := BroadcastToDims(t.sin, d[0], d[1], d[2], half)
	rotated := Concatenate([]*Node{
		Sub(Mul(first, cos), Mul(second, sin)),
		Add(Mul(second, cos), Mul(first, sin)),
	}, -1)
	return ConvertDType(rotated, x.DType())
}
