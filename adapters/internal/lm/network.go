package lm

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// Network builds a family's graphs. Its methods panic if shapes do not fit, as
// GoMLX's do; they must not change the receiver.
type Network interface {
	// Embed returns token embeddings, in the space of the soft prompts:
	// int32[...] → float[..., D].
	Embed(p layers.Params, ids *Node) *Node

	// States returns the hidden states that [Network.Logits] reads:
	// float[B, T, W] for a decoder-only model, float[B, K, W] for the decoder of
	// an encoder-decoder model.
	States(p layers.Params, in Input) *Node

	// Logits returns float[..., V] for states float[..., W].
	Logits(p layers.Params, states *Node) *Node

	// Prefill reads the input of an answer and returns its part of the KV cache.
	Prefill(p layers.Params, in Input) Prefilled

	// Step reads one more token of each answer and extends the KV cache.
	Step(p layers.Params, in StepInput) StepOutput

	// Cache describes the part of the KV cache that grows with the answer.
	Cache() CacheShape
}

// Input is a batch, padded on the right.
type Input struct {
	Embeds  *Node // float[B, T, D]
	Lengths *Node // int32[B]: positions that are not padding, at least 1
	Decoder *Node // int32[B, K]: the decoder's input in an encoder-decoder model, else nil
}

// LastStates picks the state of each row's last position that is not padding:
// float[B, T, W] → float[B, W].
func LastStates(x, lengths *Node) *Node {
	d := x.Shape().Dimensions
	row := MulScalar(Iota(x.Graph(), lengths.Shape(), 0), d[1])
	at := Add(row, AddScalar(lengths, -1))
	return Gather(Reshape(x, d[0]*d[1], d[2]), InsertAxes(at, -1))
}

// embed returns the input of a batch: the token embeddings of ids, replaced by
// rows of the soft prompts where promptRows is not negative. ids and promptRows are
// int32[B, T], prompts is float32[M, Q, D] or nil; the result is float[B, T, D].
func embed(net Network, p layers.Params, ids, promptRows, prompts *Node) *Node {
	x := net.Embed(p, ids)
	if prompts == nil {
		return x
	}
	d := prompts.Shape().Dimensions
	table := ConvertDType(Reshape(prompts, d[0]*d[1], d[2]), x.DType())
	rows := Gather(table, InsertAxes(Max(promptRows, ZerosLike(promptRows)), -1))
	isPrompt := InsertAxes(GreaterOrEqual(promptRows, ZerosLike(promptRows)), -1)
	return Where(BroadcastToDims(isPrompt, x.Shape().Dimensions...), rows, x)
}
