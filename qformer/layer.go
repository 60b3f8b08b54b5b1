package qformer

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// keyValue holds an attention's keys and values: float[B, H, T, D/H].
type keyValue struct{ key, value *Node }

// Vision is a batch of pictures as cross-attention sees them: keys and values
// of every layer that looks, projected once and used in every pass.
type Vision struct {
	byLayer map[int]keyValue
	batch   int
}

// Rows returns the pictures at rows int32[B'].
func (v *Vision) Rows(rows *Node) *Vision {
	rows.AssertRank(1)
	picked := &Vision{byLayer: make(map[int]keyValue, len(v.byLayer)), batch: rows.Shape().Dimensions[0]}
	for i, kv := range v.byLayer {
		index := InsertAxes(rows, -1)
		picked.byLayer[i] = keyValue{Gather(kv.key, index), Gather(kv.value, index)}
	}
	return picked
}

// pass is one run through the layers.
type pass struct {
	queries int        // leading positions that are queries
	vision  *Vision    // what they look at; not needed without queries
	bias    *Node      // float32, broadcastable to [B, H, Tq, Tk], or nil
	past    []keyValue // keys and values that stand before the input's own, or nil
	// readout is how many leading positions the caller reads: the last layer
	// computes no others. 0 means all.
	readout int
}

// run takes embeddings float[B, T, D] through all layers. It returns the hidden
// states (of the positions that the pass reads out) and every layer's
// self-attention keys and values.
func (m *Model) run(x *Node, s pass) (*Node, []keyValue) {
	cache := make([]keyValue, m.cfg.Layers)
	for i := range m.cfg.Layers {
		rows := x.Shape().Dimensions[1]
		if i == m.cfg.Layers-1 && s.readout > 0 {
			rows = s.readout
		}
		x, cache[i] = m.layer(i, x, s, rows)
	}
	return x, cache
}

// layer computes the first rows positions of one layer.
func (m *Model) layer(i int, x *Node, s pass, rows int) (*Node, keyValue) {
	p := m.p.At(nameLayer(i))
	var past keyValue
	if s.past != nil {
		past = s.past[i]
	}
	attended, own := m.selfAttention(p.At("attention"), x, past, s.bias, rows)
	if s.queries == 0 {
		return m.feedForward(p, attended, ""), own
	}
	q := leading(attended, s.queries)
	if m.cfg.hasCross(i) {
		q = m.attention(p.At("crossattention"), q, s.vision.byLayer[i], nil)
	}
	q = m.feedForward(p, q, querySuffix)
	if rows == s.queries {
		return q, own
	}
	text := m.feedForward(p, Slice(attended, AxisRange(), AxisRangeToEnd(s.queries)), "")
	return Concatenate([]*Node{q, text}, 1), own
}

// selfAttention computes the first rows positions of x attending to past and
// to all of x. It returns x's own keys and values beside them.
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
	return m.attention(p, leading(x, rows), all, bias), own
}

// keyValue projects x float[B, T, ...] to keys and values.
func (m *Model) keyValue(p layers.Params, x *Node) keyValue {
	return keyValue{
		layers.SplitHeads(layers.Linear(p.At("attention.key"), x), m.cfg.Heads),
		layers.SplitHeads(layers.Linear(p.At("attention.value"), x), m.cfg.Heads),
	}
}

// attention is a BERT attention block with its residual and norm: x attends to
// kv.
func (m *Model) attention(p layers.Params, x *Node, kv keyValue, bias *Node) *Node {
	query := layers.SplitHeads(layers.Linear(p.At("attention.query"), x), m.cfg.Heads)
	context := layers.MergeHeads(layers.Attention(query, kv.key, kv.value, layers.AttentionOptions{Bias: bias, Dropout: m.cfg.Dropout, RNG: m.rng}))
	return m.output(p.At("output"), context, x)
}

// feedForward is a BERT feed-forward block with its residual and norm.
func (m *Model) feedForward(p layers.Params, x *Node, suffix string) *Node {
	inner := layers.Activation(m.cfg.activation(), layers.Linear(p.At("intermediate"+suffix+".dense"), x))
	return m.output(p.At("output"+suffix), inner, x)
}

// output closes a block: norm(dropout(linear(x)) + residual).
func (m *Model) output(p layers.Params, x, residual *Node) *Node {
	y := layers.Dropout(layers.Linear(p.At("dense"), x), m.cfg.Dropout, m.rng)
	return m.norm(p.At("LayerNorm"), Add(y, residual))
}

// leading returns the first n positions of x float[B, T, D].
func leading(x *Node, n int) *Node {
	if x.Shape().Dimensions[1] == n {
		return x
	}
	return Slice(x, AxisRange(), AxisRangeFromStart(n))
}
