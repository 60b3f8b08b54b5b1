package lm

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// The KV cache has two parts. [Network.Prefill] computes the keys and values of the
// input, which never change afterwards (PromptKV). [Network.Step] appends the keys
// and values of each generated token (GeneratedKV), to tensors of a given capacity.

// Prefilled is the result of [Network.Prefill], for the steps that follow.
type Prefilled struct {
	// PromptKV holds the keys and values of the input. Every step reads them and
	// none changes them.
	PromptKV []*Node
	// States float[B, W] predict the answer's first token. They are nil if the
	// first step predicts it, from SpecialTokens.Start.
	States *Node
}

// CacheShape describes GeneratedKV: Tensors tensors float[B·k, Heads, C, Dim].
type CacheShape struct {
	Tensors, Heads, Dim int
}

// StepInput is one token of each row. Each example has k rows, one after the other: its beams.
type StepInput struct {
	Tokens      *Node   // int32[B·k]
	Step        *Node   // int32[]: steps before this one, the same for all rows
	Lengths     *Node   // int32[B·k]: of the input, as in [Input]
	PromptKV    []*Node // as [Prefilled.PromptKV], B rows: the beams of an example share them
	GeneratedKV []*Node // the keys and values of earlier steps, as [CacheShape] says
}

// StepOutput is the result of [Network.Step].
type StepOutput struct {
	States      *Node // float[B·k, W]
	GeneratedKV []*Node
}

// UpdateCache writes the keys or values float[B, H, 1, Dh] of a token at position
// step of a cache float[B, H, C, Dh].
func UpdateCache(cache, value, step *Node) *Node {
	d := cache.Shape().Dimensions
	positions := Iota(cache.Graph(), shapes.Make(dtypes.Int32, 1, 1, d[2], 1), 2)
	isStep := Equal(positions, ExpandLeftToRank(step, 4))
	return Where(BroadcastToDims(isStep, d...), BroadcastToDims(value, d...), cache)
}
