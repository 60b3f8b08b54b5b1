package vision

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/layers"
)

// normalize returns (pixel/255 − mean)/std as float32[B, H, W, 3].
func normalize(images *Node, spec adapters.ImageSpec) *Node {
	g := images.Graph()
	perChannel := func(v [3]float32) *Node { return ExpandLeftToRank(Const(g, v[:]), 4) }
	x := DivScalar(ConvertDType(images, dtypes.Float32), 255)
	return Div(Sub(x, perChannel(spec.Mean)), perChannel(spec.Std))
}

// PatchEmbedding cuts float32[B, H, W, 3] into patches and maps each by p's
// "weight" [D, 3, patch, patch] and, if there is one, "bias" [D]: a convolution
// whose stride is its size. float[B, h·w, D] in the weight's type.
func (c Config) PatchEmbedding(p layers.Params, x *Node) *Node {
	d, patch := x.Shape().Dimensions, int(c.Patch)
	batch, rows, columns := d[0], d[1]/patch, d[2]/patch
	if d[1] != rows*patch || d[2] != columns*patch {
		x = Slice(x, AxisRange(), AxisRange(0, rows*patch), AxisRange(0, columns*patch), AxisRange())
	}
	x = Reshape(x, batch, rows, patch, columns, patch, channels)
	x = TransposeAllDims(x, 0, 1, 3, 5, 2, 4)
	kernel := Reshape(p.Get("weight"), c.Width, channels*patch*patch)
	x = ConvertDType(Reshape(x, batch, rows*columns, channels*patch*patch), kernel.DType())
	var bias *Node
	if p.Has("bias") {
		bias = p.Get("bias")
	}
	return layers.LinearWith(x, kernel, bias)
}

// PatchShape returns the shape of a patch embedding's kernel.
func (c Config) PatchShape() []int { return []int{c.Width, channels, int(c.Patch), int(c.Patch)} }

// WithClass puts a class token, any shape of D elements, before float[B, N, D].
func WithClass(class, x *Node) *Node { return WithTokens(Reshape(class, 1, 1, -1), x, 0) }

// WithTokens inserts tokens float[1, R, D] before token at of float[B, N, D].
func WithTokens(tokens, x *Node, at int) *Node {
	batch := x.Shape().Dimensions[0]
	t := tokens.Shape().Dimensions
	tokens = BroadcastToDims(tokens, batch, t[1], t[2])
	if at == 0 {
		return Concatenate([]*Node{tokens, x}, 1)
	}
	return Concatenate([]*Node{Slice(x, AxisRange(), AxisRange(0, at)), tokens, Slice(x, AxisRange(), AxisRange(at))}, 1)
}

// AddPositions adds p's table name, [N, D] or [1, N, D], to float[B, N, D].
func AddPositions(p layers.Params, name string, x *Node) *Node {
	return Add(x, ExpandLeftToRank(p.Get(name), 3))
}
