package qformer

import (
	"errors"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// pass configures one run through the layers.
type pass struct {
	queries int        // leading positions that are queries
	images  *ImageKV   // for cross-attention; not needed without queries
	bias    *Node      // float32, broadcastable to [B, H, Tq, Tk], or nil
	past    []keyValue // keys and values that stand before the input's own, or nil
	// readout is the number of leading positions that the caller reads. The last layer
	// computes only these; 0 means all.
	readout int
}

// run takes embeddings float[B, T, D] through all layers. It returns the hidden
// states (of the positions that the pass reads out) and every layer's
// self-attention keys and values.
func (m *Model) run(x *Node, s pass) (*Node, []keyValue) {
	if m.recompute && m.residuals != nil {
		panic(errors.New("a model that computes its layers again keeps no residuals: use Checkpointing or Keeping"))
	}
	x = m.turn.Ends(x)
	cache := make([]keyValue, m.cfg.Layers)
	for i := range m.cfg.Layers {
		rows := x.Shape().Dimensions[1]
		if i == m.cfg.Layers-1 && s.readout > 0 {
			rows = s.readout
		}
		if m.recompute {
			x, cache[i] = m.layerTwice(i, x, s, rows)
		} else {
			x, cache[i] = m.layer(i, x, s, rows)
		}
	}
	return x, cache
}

// layerTwice is layer for [Model.Checkpointing].
func (m *Model) layerTwice(i int, x *Node, s pass, rows int) (*Node, keyValue) {
	in := []*Node{x}
	if s.past != nil {
		in = append(in, s.past[i].key, s.past[i].value)
	}
	cross := s.queries > 0 && m.cfg.hasCross(i)
	if cross {
		in = append(in, s.images.byLayer[i].key, s.images.byLayer[i].value)
	}
	out := layers.Recompute(m.p, m.rng, in, func(p layers.Params, rng *layers.RNG, in []*Node) []*Node {
		c, s := *m, s
		c.p, c.rng = p, rng
		if s.past != nil {
			s.past = make([]keyValue, i+1)
			s.past[i] = keyValue{in[1], in[2]}
		}
		if cross {
			images := *s.images
			images.byLayer = map[int]keyValue{i: {in[len(in)-2], in[len(in)-1]}}
			s.images = &images
		}
		x, own := c.layer(i, in[0], s, rows)
		return []*Node{x, own.key, own.value}
	})
	return out[0], keyValue{out[1], out[2]}
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
		q = m.crossAttention(p.At("crossattention"), q, s.images, i)
	}
	q = m.feedForward(p, q, querySuffix)
	if rows == s.queries {
		return q, own
	}
	text := m.feedForward(p, Slice(attended, AxisRange(), AxisRangeToEnd(s.queries)), "")
	return Concatenate([]*Node{q, text}, 1), own
}

// feedForward computes a BERT feed-forward block with its residual and norm.
func (m *Model) feedForward(p layers.Params, x *Node, suffix string) *Node {
	inner := layers.Activation(m.cfg.activation(), m.linear(p.At("intermediate"+suffix+".dense"), x))
	return m.output(p.At("output"+suffix), inner, x)
}

// output returns norm(dropout(linear(x)) + residual), the end of a block.
func (m *Model) output(p layers.Params, x, residual *Node) *Node {
	y := layers.Dropout(m.linear(p.At("dense"), x), m.cfg.Dropout, m.rng)
	return m.norm(p.At("LayerNorm"), Add(y, residual))
}

// linear is [layers.Linear] whose result is kept for a backward pass of its own.
func (m *Model) linear(p layers.Params, x *Node) *Node {
	return m.residuals.Keep(layers.Linear(p, x))
}

// leading returns the first n positions of x float[B, T, D].
func leading(x *Node, n int) *Node {
	if x.Shape().Dimensions[1] == n {
		return x
	}
	return Slice(x, AxisRange(), AxisRangeFromStart(n))
}
