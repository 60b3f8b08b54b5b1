package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/internal/layers"
)

// Body computes everything of a family's network except attention.
type Body interface {
	// Embed returns token embeddings, in the space of the soft prompts:
	// int32[...] → float[..., E].
	Embed(p layers.Params, ids *Node) *Node

	// Enter makes the first block's input float[B, T, D] from embeddings
	// float[B, T, E] at positions int32[B or 1, T].
	Enter(p layers.Params, x, positions *Node) *Node

	// Block computes one block: float[B, T, D] → float[B, T, D].
	Block(p layers.Params, index int, x *Node, attend Attend) *Node

	// Leave makes states float[B, T, W] from the last block's output.
	Leave(p layers.Params, x *Node) *Node

	// Logits returns float[..., V] for states float[..., W].
	Logits(p layers.Params, states *Node) *Node
}

// Network is a [Body] with its attention.
type Network struct {
	Body
	Heads, KVHeads, HeadDim int
	Blocks                  []BlockAttention
	Cap                     float64 // soft-caps the scores; 0 for none
	Rotary                  *Rotary // rotates queries and keys; nil without rotary positions
}

var _ lm.Network = Network{}

// States returns float[B, T, W].
func (n Network) States(p layers.Params, in lm.Input) *Node {
	return n.read(p, in, func(*Node, *Node) {})
}

// Prefill returns the keys and values of the input, two tensors for each block.
func (n Network) Prefill(p layers.Params, in lm.Input) lm.Prefilled {
	var promptKV []*Node
	states := n.read(p, in, func(k, v *Node) { promptKV = append(promptKV, k, v) })
	return lm.Prefilled{PromptKV: promptKV, States: lm.LastStates(states, in.Lengths)}
}

// read runs the input through all blocks. It calls keep with the keys and values of
// each block.
func (n Network) read(p layers.Params, in lm.Input, keep func(k, v *Node)) *Node {
	t := in.Embeds.Shape().Dimensions[1]
	positions := Iota(p.Graph(), shapes.Make(dtypes.Int32, 1, t), 1)
	causal := n.perWindow(func(window int) *Node { return repeatForGroups(causalBias(p.Graph(), t, window), n.groups()) })
	return n.run(p, in.Embeds, positions, func(i int, q, k, v *Node) *Node {
		keep(k, v)
		b := n.Blocks[i]
		return layers.Attention(q, k, v, layers.AttentionOptions{Bias: causal[b.Window], Scale: b.Scale, Cap: n.Cap})
	})
}

// Step reads the token at position length + step.
func (n Network) Step(p layers.Params, in lm.StepInput) lm.StepOutput {
	x := InsertAxes(n.Embed(p, in.Tokens), 1)
	at := Add(in.Lengths, BroadcastToDims(in.Step, in.Lengths.Shape().Dimensions...))
	promptLength, capacity := in.PromptKV[0].Shape().Dimensions[2], in.GeneratedKV[0].Shape().Dimensions[2]
	promptBias := n.perWindow(func(window int) *Node { return paddingBias(in.Lengths, at, promptLength, window) })
	generatedBias := n.perWindow(func(window int) *Node { return stepBias(in.Step, capacity, window) })
	var generatedKV []*Node
	states := n.run(p, x, InsertAxes(at, -1), func(i int, q, k, v *Node) *Node {
		k, v = lm.UpdateCache(in.GeneratedKV[2*i], k, in.Step), lm.UpdateCache(in.GeneratedKV[2*i+1], v, in.Step)
		generatedKV = append(generatedKV, k, v)
		b := n.Blocks[i]
		return lm.Attend(q, b.Scale, n.Cap,
			lm.KeyValues{Keys: in.PromptKV[2*i], Values: in.PromptKV[2*i+1], Bias: promptBias[b.Window]},
			lm.KeyValues{Keys: k, Values: v, Bias: generatedBias[b.Window]})
	})
	return lm.StepOutput{States: Squeeze(states, 1), GeneratedKV: generatedKV}
}

// Cache describes a key and a value tensor for each block.
func (n Network) Cache() lm.CacheShape {
	return lm.CacheShape{Tensors: 2 * len(n.Blocks), Heads: n.KVHeads, Dim: n.HeadDim}
}

// run sends embeddings at positions int32[B or 1, T] through all blocks. attention
// gets the query heads that share keys side by side: float[B, Kv, G·T, Dh].
func (n Network) run(p layers.Params, x, positions *Node, attention func(block int, q, k, v *Node) *Node) *Node {
	rotation := n.Rotary.at(positions)
	x = n.Enter(p, x, positions)
	for i := range n.Blocks {
		x = n.Block(p, i, x, func(q, k, v *Node) *Node {
			d := q.Shape().Dimensions
			q = Reshape(rotation.apply(q), d[0], n.KVHeads, n.groups()*d[2], d[3])
			return Reshape(attention(i, q, rotation.apply(k), v), d...)
		})
	}
	return n.Leave(p, x)
}

// groups returns G, the number of query heads that share a head of keys.
func (n Network) groups() int { return n.Heads / n.KVHeads }

// perWindow builds one bias for each window among the blocks.
func (n Network) perWindow(build func(window int) *Node) map[int]*Node {
	biases := map[int]*Node{}
	for _, b := range n.Blocks {
		if biases[b.Window] == nil {
			biases[b.Window] = build(b.Window)
		}
	}
	return biases
}
