package qformer

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// keyValue holds the keys and values of one attention: float[B, H, T, D/H].
type keyValue struct{ key, value *Node }

// ImageKV holds the keys and values that cross-attention reads of a batch of pictures, for
// each layer that has cross-attention. They are projected once and used in every pass.
type ImageKV struct {
	byLayer map[int]keyValue
	rows    *Node // int32[batch], the pictures of a batch; nil for all in their order
	batch   int
}

// Rows selects the pictures at rows int32[B'], once.
func (v *ImageKV) Rows(rows *Node) *ImageKV {
	rows.AssertRank(1)
	return &ImageKV{byLayer: v.byLayer, rows: rows, batch: rows.Shape().Dimensions[0]}
}

// For returns v, which holds one picture, for a batch of n texts. Keys and values are not
// repeated.
func (v *ImageKV) For(n int) *ImageKV {
	for _, kv := range v.byLayer {
		kv.key.AssertDims(1, -1, -1, -1)
	}
	return &ImageKV{byLayer: v.byLayer, batch: n}
}

// crossAttention lets the queries x float[B, Q, D] attend to pictures in a layer: one for each
// row, or one for all rows. In the second case all queries are one row of B·Q.
func (m *Model) crossAttention(p layers.Params, x *Node, images *ImageKV, layer int) *Node {
	d, kv := x.Shape().Dimensions, images.byLayer[layer]
	if images.rows != nil || kv.key.Shape().Dimensions[0] == d[0] {
		return m.attention(p, x, kv, attending{rows: images.rows})
	}
	return Reshape(m.attention(p, Reshape(x, 1, d[0]*d[1], d[2]), kv, attending{}), d...)
}

// selfAttention computes the first rows positions of x, which attend to past and to all
// of x. It also returns x's own keys and values.
func (m *Model) selfAttention(p layers.Params, x *Node, past keyValue, bias *Node, rows int) (*Node, keyValue) {
	own := m.keyValue(p, x)
	all := own
	if past.key != nil {
		all = keyValue{
			Concatenate([]*Node{past.key, own.key}, 2),
			Concatenate([]*Node{past.value, own.value}, 2),
		}
	}
	if bias != nil && bias.Shape().Dimensions[2] > rows {
		bias = Slice(bias, AxisRange(), AxisRange(), AxisRangeFromStart(rows))
	}
	return m.attention(p, leading(x, rows), all, attending{bias: bias}), own
}

// keyValue projects x float[B, T, ...] to keys and values.
func (m *Model) keyValue(p layers.Params, x *Node) keyValue {
	return keyValue{
		layers.SplitHeads(m.linear(p.At("attention.key"), x), m.cfg.Heads),
		layers.SplitHeads(m.linear(p.At("attention.value"), x), m.cfg.Heads),
	}
}

// attending says how positions attend: bias is float32, broadcastable to [B, H, Tq, Tk], and rows
// selects keys and values, int32[B]. Both may be nil.
type attending struct{ bias, rows *Node }

// attention computes a BERT attention block with its residual and norm: x attends to kv.
func (m *Model) attention(p layers.Params, x *Node, kv keyValue, how attending) *Node {
	query := layers.SplitHeads(m.linear(p.At("attention.query"), x), m.cfg.Heads)
	context := layers.MergeHeads(layers.Attention(query, kv.key, kv.value, layers.AttentionOptions{
		Bias: how.bias, Rows: how.rows, Dropout: m.cfg.Dropout, RNG: m.rng, Residuals: m.residuals}))
	return m.output(p.At("output"), context, x)
}
