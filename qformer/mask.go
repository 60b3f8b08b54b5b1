package qformer

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// maskedScore is the bias that BERT adds to the score of a masked key.
const maskedScore = -10000

// The masks of the paper's figure 2, true where a key is visible. Text is
// bool[B, T], true at tokens and false at padding; keys stand as [queries; text].

// UnimodalMask is the text side of the contrastive objective: text sees text.
// (Queries see queries, all of them: that side needs no mask.)
// Result: bool[B, 1, 1, T].
func UnimodalMask(text *Node) *Node {
	text.AssertRank(2)
	d := text.Shape().Dimensions
	return Reshape(text, d[0], 1, 1, d[1])
}

// BidirectionalMask is that of matching: everything sees everything but
// padding. Result: bool[B, 1, 1, Q+T].
func BidirectionalMask(text *Node, queries int) *Node {
	d := text.Shape().Dimensions
	seen := Const(text.Graph(), true)
	all := BroadcastToDims(seen, d[0], 1, 1, queries)
	return Concatenate([]*Node{all, UnimodalMask(text)}, -1)
}

// CausalMask holds the text rows of the multimodal causal mask: text sees all
// queries and the text up to itself. (Queries see queries only; their keys and
// values are those of the contrastive pass.) Result: bool[B, 1, T, Q+T].
func CausalMask(text *Node, queries int) *Node {
	d := text.Shape().Dimensions
	g := text.Graph()
	square := shapes.Make(dtypes.Int32, d[1], d[1])
	past := Reshape(GreaterOrEqual(Iota(g, square, 0), Iota(g, square, 1)), 1, 1, d[1], d[1])
	past = BroadcastToDims(past, d[0], 1, d[1], d[1])
	past = LogicalAnd(past, BroadcastToDims(UnimodalMask(text), d[0], 1, d[1], d[1]))
	all := BroadcastToDims(Const(g, true), d[0], 1, d[1], queries)
	return Concatenate([]*Node{all, past}, -1)
}

// bias turns a mask into a bias of the scores.
func bias(mask *Node) *Node { return layers.MaskBias(mask, maskedScore) }
