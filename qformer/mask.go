package qformer

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// maskedScore is the bias that BERT adds to the score of a masked key.
const maskedScore = -10000

// The masks of the paper's figure 2, true for a visible key. Text is bool[B, T], true at
// tokens and false at padding. Keys are in the order [queries; text].

// UnimodalMask returns the mask of the contrastive objective for text, which sees text:
// bool[B, 1, 1, T]. (Queries see all queries and need no mask.)
func UnimodalMask(text *Node) *Node {
	text.AssertRank(2)
	d := text.Shape().Dimensions
	return Reshape(text, d[0], 1, 1, d[1])
}

// BidirectionalMask returns the mask of the matching objective: everything sees everything
// except padding. bool[B, 1, 1, Q+T].
func BidirectionalMask(text *Node, queries int) *Node {
	d := text.Shape().Dimensions
	seen := Const(text.Graph(), true)
	all := BroadcastToDims(seen, d[0], 1, 1, queries)
	return Concatenate([]*Node{all, UnimodalMask(text)}, -1)
}

// CausalMask returns the text rows of the multimodal causal mask: text sees all queries and
// the text up to itself. bool[B, 1, T, Q+T]. (Queries see queries only; their keys and values
// are those of the contrastive pass.)
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
