package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/internal/layers"
)

// Body is what a family computes around attention.
type Body interface {
	// Embed returns token embeddings as soft prompts enter beside them:
	// int32[...] → float[..., E].
	Embed(p layers.Params, ids *Node) *Node

	// Enter makes the first block's input float[B, T, D] of embeddings
	// float[B, T, E] at positions int32[B or 1, T].
	Enter(p layers.Params, x, positions *Node) *Node

	// Block is one block: float[B, T, D] → float[B, T, D].
	Block(p layers.Params, index int, x *Node, attend Attend) *Node

	// Leave makes states float[B, T, W] of the last block's output.
	Leave(p layers.Params, x *Node) *Node

	// Logits returns float[..., V] for states float[..., W].
	Logits(p layers.Params, states *Node) *Node
}

// Attend is the attention of one block: queries float[B, H, T, Dh], keys and
// values float[B, Kv, T, Dh] → float[B, H, T, Dh].
type Attend func(q, k, v *Node) *Node

// Network is a [Body] with its attention.
type Network struct {
	Body
	Heads, KVHeads, HeadDim int
	Blocks                  []Block
	Cap                     float64 // soft-caps the scores; 0 for none
	Rotary                  *Rotary // turns queries and keys; nil where positions enter otherwise
}

// Block is the attention of one block.
type Block struct {
	Scale  float64 // of the scores
	Window int     // how many positions are seen, its own included; 0 for all
}

// Repeat returns n blocks of one kind.
func Repeat(n int, b Block) []Block {
	all := make([]Block, n)
	for i := range all {
		all[i] = b
	}
	return all
}

var _ lm.Network = Network{}

// States returns float[B, T, W].
func (n Network) States(p layers.Params, in lm.Input) *Node {
	return n.read(p, in, func(int, *Node, *Node) {})
}

// Prefill keeps the keys and values of the input, block by block.
func (n Network) Prefill(p layers.Params, in lm.Input) lm.Prefilled {
	var fixed []*Node
	states := n.read(p, in, func(_ int, k, v *Node) { fixed = append(fixed, k, v) })
	return lm.Prefilled{Fixed: fixed, States: lm.LastStates(states, in.Lengths)}
}

// read runs the input through all blocks and shows keep their keys and values.
func (n Network) read(p layers.Params, in lm.Input, keep func(block int, k, v *Node)) *Node {
	t := in.Embeds.Shape().Dimensions[1]
	positions := Iota(p.Graph(), shapes.Make(dtypes.Int32, 1, t), 1)
	causal := n.perWindow(func(window int) *Node { return rows(causalBias(p.Graph(), t, window), n.groups()) })
	return n.run(p, in.Embeds, positions, func(i int, q, k, v *Node) *Node {
		keep(i, k, v)
		b := n.Blocks[i]
		return layers.Attention(q, k, v, layers.AttentionOptions{Bias: causal[b.Window], Scale: b.Scale, Cap: n.Cap})
	})
}

// Step reads the token at position length + step.
func (n Network) Step(p layers.Params, in lm.StepInput) lm.StepOutput {
	x := InsertAxes(n.Embed(p, in.Tokens), 1)
	at := Add(in.Lengths, BroadcastToDims(in.Step, in.Lengths.Shape().Dimensions...))
	fixed, room := in.Fixed[0].Shape().Dimensions[2], in.Grown[0].Shape().Dimensions[2]
	before := n.perWindow(func(window int) *Node { return beforeBias(in.Lengths, at, fixed, window) })
	upTo := n.perWindow(func(window int) *Node { return upToBias(in.Step, room, window) })
	var grown []*Node
	states := n.run(p, x, InsertAxes(at, -1), func(i int, q, k, v *Node) *Node {
		k, v = lm.Append(in.Grown[2*i], k, in.Step), lm.Append(in.Grown[2*i+1], v, in.Step)
		grown = append(grown, k, v)
		b := n.Blocks[i]
		return lm.Attend(q, b.Scale, n.Cap,
			lm.Part{Keys: in.Fixed[2*i], Values: in.Fixed[2*i+1], Bias: before[b.Window]},
			lm.Part{Keys: k, Values: v, Bias: upTo[b.Window]})
	})
	return lm.StepOutput{States: Squeeze(states, 1), Grown: grown}
}

// Cache is a key and a value for each block.
func (n Network) Cache() lm.CacheShape {
	return lm.CacheShape{Tensors: 2 * len(n.Blocks), Heads: n.KVHeads, Dim: n.HeadDim}
}

// run sends embeddings at positions int32[B or 1, T] through all blocks. mix is
// attention with the query heads that share keys put side by side:
// float[B, Kv, G·T, Dh].
func (n Network) run(p layers.Params, x, positions *Node, mix func(block int, q, k, v *Node) *Node) *Node {
	turn := n.Rotary.at(positions)
	x = n.Enter(p, x, positions)
	for i := range n.Blocks {
		x = n.Block(p, i, x, func(q, k, v *Node) *Node {
			d := q.Shape().Dimensions
			q = Reshape(turn.apply(q), d[0], n.KVHeads, n.groups()*d[2], d[3])
			return Reshape(mix(i, q, turn.apply(k), v), d...)
		})
	}
	return n.Leave(p, x)
}

func (n Network) groups() int { return n.Heads / n.KVHeads }

// perWindow builds one bias for every window among the blocks.
func (n Network) perWindow(build func(window int) *Node) map[int]*Node {
	biases := map[int]*Node{}
	for _, b := range n.Blocks {
		if biases[b.Window] == nil {
			biases[b.Window] = build(b.Window)
		}
	}
	return biases
}
