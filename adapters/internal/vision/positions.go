package vision

import (
	"math"

	"github.com/modular-bridging/bridge/internal/weights"
)

// PositionTable is a family's table of position embeddings.
type PositionTable struct {
	Spec      weights.TensorSpec // [rows, D] or [1, rows, D]
	Class     bool               // the first row belongs to the class token and is not resized
	Antialias bool               // the reference resizes with antialias
}

// PositionTable returns the family's table: the tensor name has a row for each patch,
// and one for the class token if class is set.
func (c Config) PositionTable(w *TensorSpecs, name string, class bool, leading ...int) PositionTable {
	rows := c.side() * c.side()
	if class {
		rows++
	}
	return PositionTable{Spec: w.Spec(name, append(leading, rows, c.Width)), Class: class}
}

// resized returns the table for rows × columns patches: float32[Class + rows·columns, D]
// from float32[Class + side·side, D]. It interpolates as the reference does: bicubic,
// align_corners false (transformers' interpolate_pos_encoding).
func (t PositionTable) resized(values []float32, width, side, rows, columns int) []float32 {
	var class []float32
	if t.Class {
		class, values = values[:width], values[width:]
	}
	taps := cubicTaps
	if t.Antialias {
		taps = antialiasedTaps
	}
	across, down := taps(side, columns), taps(side, rows)
	narrow := make([]float32, side*columns*width) // [side, columns, D]
	for y := range side {
		for x, tap := range across {
			tap.sum(narrow[(y*columns+x)*width:][:width], values[y*side*width:], width)
		}
	}
	out := make([]float32, rows*columns*width)
	for y, tap := range down {
		tap.sum(out[y*columns*width:][:columns*width], narrow, columns*width)
	}
	return append(class[:len(class):len(class)], out...)
}

// tap holds the source positions of one position of a resized axis, and their weights.
type tap struct {
	index  []int
	weight []float32
}

// sum writes the weighted sum of values' rows, which are stride apart, to out.
func (t tap) sum(out, values []float32, stride int) {
	for j, from := range t.index {
		row := values[from*stride:][:len(out)]
		for i, v := range row {
			out[i] += t.weight[j] * v
		}
	}
}

// cubicTaps returns the taps of torch's upsample_bicubic2d: four taps with a = −0.75 around
// the source position, with clamped indices.
func cubicTaps(in, out int) []tap {
	const a = -0.75
	near := func(x float64) float64 { return ((a+2)*x-(a+3))*x*x + 1 }  // |x| ≤ 1
	far := func(x float64) float64 { return ((a*x-5*a)*x+8*a)*x - 4*a } // 1 < |x| < 2
	scale := float32(in) / float32(out)
	taps := make([]tap, out)
	for i := range taps {
		at := scale*(float32(i)+0.5) - 0.5 // in float32, as the reference
		floor := min(int(math.Floor(float64(at))), in-1)
		x := min(max(float64(at)-float64(floor), 0), 1)
		for j, w := range []float64{far(x + 1), near(x), near(1 - x), far(2 - x)} {
			taps[i].index = append(taps[i].index, min(max(floor-1+j, 0), in-1))
			taps[i].weight = append(taps[i].weight, float32(w))
		}
	}
	return taps
}

// antialiasedTaps returns the taps of torch's _upsample_bicubic2d_aa: a = −0.5, with a
// kernel that is stretched if the axis shrinks, and weights that sum to 1.
func antialiasedTaps(in, out int) []tap {
	const a = -0.5
	kernel := func(x float64) float64 {
		switch x = math.Abs(x); {
		case x < 1:
			return ((a+2)*x-(a+3))*x*x + 1
		case x < 2:
			return ((x-5)*x+8)*x*a - 4*a
		}
		return 0
	}
	scale := float64(in) / float64(out)
	stretch := max(1, scale)
	taps := make([]tap, out)
	for i := range taps {
		center := scale * (float64(i) + 0.5)
		first, last := max(int(center-2*stretch+0.5), 0), min(int(center+2*stretch+0.5), in)
		weights, sum := make([]float64, last-first), 0.0
		for j := range weights {
			weights[j] = kernel((float64(first+j) - center + 0.5) / stretch)
			sum += weights[j]
		}
		for j, w := range weights {
			taps[i].index = append(taps[i].index, first+j)
			taps[i].weight = append(taps[i].weight, float32(w/sum))
		}
	}
	return taps
}
