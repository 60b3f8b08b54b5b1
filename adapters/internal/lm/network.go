package lm

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// Network builds a family's graphs. Its methods panic where shapes do not fit,
// as GoMLX's do; they must not change the receiver.
type Network interface {
	// Embed returns token embeddings as soft prompts enter beside them:
	// int32[...] → float[..., D].
	Embed(p layers.Params, ids *Node) *Node

	// States returns the hidden states that [Network.Logits] reads:
	// float[B, T, W] for a decoder-only model, float[B, K, W] for the decoder of
	// an encoder-decoder model.
	States(p layers.Params, in Input) *Node

	// Logits returns float[..., V] for states float[..., W].
	Logits(p layers.Params, states *Node) *Node

	// Prefill reads an input of which an answer is to be generated.
	Prefill(p layers.Params, in Input) Prefilled

	// Step reads one more token of each answer.
	Step(p layers.Params, in StepInput) StepOutput

	// Cache describes the tensors that grow while an answer is generated.
	Cache() CacheShape
}

// Input is a batch, padded on the right.
type Input struct {
	Embeds  *Node // float[B, T, D]
	Lengths *Node // int32[B]: positions that are not padding, at least 1
	Decoder *Node // int32[B, K]: the decoder's input in an encoder-decoder model, else nil
}

// Prefilled is what an input leaves for the steps that follow.
type Prefilled struct {
	// Fixed are tensors that every step reads and none changes: keys and values
	// of the input.
	Fixed []*Node
	// States float[B, W] predict the answer's first token; nil where the first
	// step does, reading Rules.Start.
	States *Node
}

// CacheShape gives the Tensors float[B, Heads, C, Dim] that a network grows.
type CacheShape struct {
	Tensors, Heads, Dim int
}

// StepInput is one token of each answer.
type StepInput struct {
	Tokens  *Node   // int32[B]
	Step    *Node   // int32[]: steps before this one, the same for all rows
	Lengths *Node   // int32[B]: of the input, as in [Input]
	Fixed   []*Node // as [Prefilled.Fixed]
	Grown   []*Node // the keys and values of earlier steps, as [CacheShape] says
}

// StepOutput is what a step leaves.
type StepOutput struct {
	States *Node // float[B, W]
	Grown  []*Node
}

// Append writes float[B, H, 1, Dh] at position step of a cache float[B, H, C, Dh].
func Append(cache, value, step *Node) *Node {
	d := cache.Shape().Dimensions
	at := Iota(cache.Graph(), shapes.Make(dtypes.Int32, 1, 1, d[2], 1), 2)
	here := Equal(at, ExpandLeftToRank(step, 4))
	return Where(BroadcastToDims(here, d...), BroadcastToDims(value, d...), cache)
}

// Part is a stretch of keys and values that queries attend to, with the bias of
// its scores.
type Part struct {
	Keys, Values *Node // float[B, H, C, Dh]
	Bias         *Node // float32, broadcastable to [B, H, R, C]
}

// Attend lets queries float[B, H, R, Dh] attend to several stretches as if they
// were one, without joining them: R is 1, or the query heads that share a head
// of keys. The scores are scaled and, where cap is not 0, soft-capped.
func Attend(q *Node, scale, cap float64, parts ...Part) *Node {
	scores := make([]*Node, len(parts))
	for i, part := range parts {
		s := ConvertDType(EinsumAxes(q, part.Keys, [][2]int{{3, 3}}, [][2]int{{0, 0}, {1, 1}}), dtypes.Float32)
		bias := BroadcastToDims(ExpandLeftToRank(part.Bias, 4), s.Shape().Dimensions...)
		scores[i] = Add(layers.SoftCap(MulScalar(s, scale), cap), bias)
	}
	probs := ConvertDType(Softmax(Concatenate(scores, -1), -1), q.DType())
	var sum *Node
	from := 0
	for _, part := range parts {
		to := from + part.Keys.Shape().Dimensions[2]
		p := Slice(probs, AxisRange(), AxisRange(), AxisRange(), AxisRange(from, to))
		y := EinsumAxes(p, part.Values, [][2]int{{3, 2}}, [][2]int{{0, 0}, {1, 1}})
		if sum == nil {
			sum = y
		} else {
			sum = Add(sum, y)
		}
		from = to
	}
	return sum
}

// Hidden is the bias of a score that must not count.
const Hidden = -1e9

// BeforeBias hides the positions of C from lengths int32[B] on:
// float32[B, 1, 1, C].
func BeforeBias(lengths *Node, c int) *Node {
	b := lengths.Shape().Dimensions[0]
	at := Iota(lengths.Graph(), shapes.Make(dtypes.Int32, b, 1, 1, c), 3)
	visible := LessThan(at, BroadcastToDims(Reshape(lengths, b, 1, 1, 1), b, 1, 1, c))
	return layers.MaskBias(visible, Hidden)
}

// UpToBias hides the positions of C after step int32[]: float32[1, 1, 1, C].
func UpToBias(step *Node, c int) *Node {
	at := Iota(step.Graph(), shapes.Make(dtypes.Int32, 1, 1, 1, c), 3)
	return layers.MaskBias(LessOrEqual(at, BroadcastToDims(ExpandLeftToRank(step, 4), 1, 1, 1, c)), Hidden)
}

// CausalBias hides what comes later: float32[1, 1, T, T]. Padding on the right
// comes later than all that counts.
func CausalBias(g *Graph, t int) *Node {
	rows := Iota(g, shapes.Make(dtypes.Int32, 1, 1, t, t), 2)
	columns := Iota(g, shapes.Make(dtypes.Int32, 1, 1, t, t), 3)
	return layers.MaskBias(LessOrEqual(columns, rows), Hidden)
}

// LastStates picks the state of each row's last position that is not padding:
// float[B, T, W] → float[B, W].
func LastStates(x, lengths *Node) *Node {
	d := x.Shape().Dimensions
	row := MulScalar(Iota(x.Graph(), shapes.Make(dtypes.Int32, d[0]), 0), d[1])
	at := Add(row, AddScalar(lengths, -1))
	return Gather(Reshape(x, d[0]*d[1], d[2]), InsertAxes(at, -1))
}

// embed puts token embeddings and rows of soft prompts in place:
// ids and source int32[B, T], prompts float32[M, Q, D] or nil → float[B, T, D].
func embed(net Network, p layers.Params, ids, source, prompts *Node) *Node {
	x := net.Embed(p, ids)
	if prompts == nil {
		return x
	}
	d := prompts.Shape().Dimensions
	table := ConvertDType(Reshape(prompts, d[0]*d[1], d[2]), x.DType())
	rows := Gather(table, InsertAxes(Max(source, ZerosLike(source)), -1))
	isPrompt := InsertAxes(GreaterOrEqual(source, ZerosLike(source)), -1)
	return Where(BroadcastToDims(isPrompt, x.Shape().Dimensions...), rows, x)
}
