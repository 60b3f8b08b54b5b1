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

// Residual is x + f(norm(x)), the half of a pre-norm block.
func (c Config) Residual(norm layers.Params, x *Node, f func(x *Node) *Node) *Node {
	return Add(x, f(layers.LayerNorm(norm, x, c.Epsilon)))
}

// Attend is self-attention over all tokens, scaled by 1/√Dh: q, k and v are
// float[B, N, D], and so is the result before its output map.
func (c Config) Attend(q, k, v *Node) *Node {
	split := func(x *Node) *Node { return layers.SplitHeads(x, c.Heads) }
	return layers.MergeHeads(layers.Attention(split(q), split(k), split(v), layers.AttentionOptions{}))
}

// MLP is fc2(activation(fc1(x))) with p's "fc1" and "fc2".
func (c Config) MLP(p layers.Params, x *Node) *Node {
	return layers.Linear(p.At("fc2"), layers.Activation(c.Activation, layers.Linear(p.At("fc1"), x)))
}

// MLPWants appends the weights of [Config.MLP].
func (c Config) MLPWants(w *Wants, name string) {
	w.Affine(name+".fc1", []int{c.Inner, c.Width})
	w.Affine(name+".fc2", []int{c.Width, c.Inner})
}

// CLIPBlock is CLIPEncoderLayer, which SigLIP shares: float[B, N, D] →
// float[B, N, D].
func (c Config) CLIPBlock(p layers.Params, x *Node) *Node {
	x = c.Residual(p.At("layer_norm1"), x, func(x *Node) *Node {
		p := p.At("self_attn")
		linear := func(name string) *Node { return layers.Linear(p.At(name), x) }
		return layers.Linear(p.At("out_proj"), c.Attend(linear("q_proj"), linear("k_proj"), linear("v_proj")))
	})
	return c.Residual(p.At("layer_norm2"), x, func(x *Node) *Node { return c.MLP(p.At("mlp"), x) })
}

// CLIPBlockWants appends the weights of [Config.CLIPBlock].
func (c Config) CLIPBlockWants(w *Wants, name string) {
	for _, part := range []string{"q_proj", "k_proj", "v_proj", "out_proj"} {
		w.Affine(name+".self_attn."+part, []int{c.Width, c.Width})
	}
	w.Affine(name+".layer_norm1", []int{c.Width})
	c.MLPWants(w, name+".mlp")
	w.Affine(name+".layer_norm2", []int{c.Width})
}

// PatchWant is the shape of a patch embedding's kernel.
func (c Config) PatchWant() []int { return []int{c.Width, channels, int(c.Patch), int(c.Patch)} }

// Table returns the family's table: want names a weight of a row for each patch,
// and for the class token where class is set.
func (c Config) Table(w *Wants, name string, class bool, leading ...int) Table {
	rows := c.side() * c.side()
	if class {
		rows++
	}
	return Table{Want: w.Want(name, append(leading, rows, c.Width)), Class: class}
}
