package optim

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
)

// idle is added to every gradient. Without it the moments of a parameter that gets no
// gradient (the embedding of a word that a batch lacks) would decay into denormals and
// stay there, and CPUs compute slowly with denormals: BenchmarkStep took 20 % more CPU
// time with such moments on an AMD EPYC, and other CPUs suffer more. With idle the moments
// settle at 1e-17 and 1e-34, which are ordinary numbers, and a step moves the parameter by
// 1e-9 of the learning rate, which changes no weight that matters. Setting small moments
// to zero instead cost 75 %: it takes three more passes over each moment.
const idle = 1e-17

// Slot is one parameter in an update: nodes of one shape, float32.
type Slot struct {
	Value, Gradient, M, V *Node
	Group                 int // index into the rates
}

// Update is a step without a store: it replaces Value, M and V of each parameter by nodes
// of their next values and returns the gradients' norms before clipping as float32[1+P],
// the global one first. rates is float32[2·G+1], as [Config.Rates] returns it. If the
// global norm is not finite, all values stay as they are.
func (c Config) Update(parameters []Slot, rates *Node) (norms *Node) {
	groups := (rates.Shape().Dimensions[0] - 1) / 2
	squares := make([]*Node, len(parameters))
	for i, p := range parameters {
		p.Gradient.AssertDims(p.Value.Shape().Dimensions...)
		squares[i] = sumSquares(p.Gradient)
	}
	perParameter := Stack(squares, 0)
	norm := Sqrt(ReduceAllSum(perParameter))
	finite := IsFinite(norm)
	clip := c.clipFactor(norm)
	scalar := func(i int) *Node { return Reshape(Slice(rates, AxisElem(i))) }
	for i := range parameters {
		p := &parameters[i]
		value, m, v := c.next(*p, clip, scalar(p.Group), scalar(groups+p.Group), scalar(2*groups))
		p.Value, p.M, p.V = Where(finite, value, p.Value), Where(finite, m, p.M), Where(finite, v, p.V)
	}
	return Concatenate([]*Node{Reshape(norm, 1), Sqrt(perParameter)}, 0)
}

// next builds torch.optim.AdamW's update of one parameter: keep is 1 − lr·decay, size is
// lr/(1−β1ᵗ), correction is √(1−β2ᵗ).
func (c Config) next(p Slot, clip, keep, size, correction *Node) (value, m, v *Node) {
	gradient := p.Gradient
	if clip != nil {
		gradient = Mul(gradient, clip)
	}
	gradient = AddScalar(gradient, idle)
	m = Add(MulScalar(p.M, c.Beta1), MulScalar(gradient, 1-c.Beta1))
	v = Add(MulScalar(p.V, c.Beta2), MulScalar(Square(gradient), 1-c.Beta2))
	denominator := AddScalar(Div(Sqrt(v), correction), c.Epsilon)
	value = Sub(Mul(p.Value, keep), Mul(Div(m, denominator), size))
	return value, m, v
}

// clipFactor builds the factor of torch.nn.utils.clip_grad_norm_. It returns nil if
// nothing is clipped.
func (c Config) clipFactor(norm *Node) *Node {
	if c.ClipNorm == 0 {
		return nil
	}
	one := Scalar(norm.Graph(), dtypes.Float32, 1.0)
	limit := Scalar(norm.Graph(), dtypes.Float32, c.ClipNorm)
	return Min(Div(limit, AddScalar(norm, 1e-6)), one)
}

// sumSquares sums the squares of x axis by axis: the Go backend adds one by one, and over
// a whole weight the rounding error would be noticeable.
func sumSquares(x *Node) *Node {
	sum := Square(x)
	for sum.Rank() > 0 {
		sum = ReduceSum(sum, -1)
	}
	return sum
}
