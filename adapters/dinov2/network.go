package dinov2

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/vision"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/weights"
)

// The names of weights in released files. transformers 5 has others in memory
// (attention.q_proj, mlp.gate_proj, mlp.up_proj), which a file may have too.
const (
	class     = "embeddings.cls_token"
	registers = "embeddings.register_tokens"
	patches   = "embeddings.patch_embeddings.projection"
	positions = "embeddings.position_embeddings"
	layer     = "encoder.layer.%d"
)

// prefixes stand before the names in checkpoints of classifiers.
func prefixes() []string { return []string{"dinov2.", "dinov2_with_registers."} }

// gatesApart reports whether the file holds a SwiGLU's gate and value as two
// weights.
func gatesApart(f *weights.Folder) bool {
	for _, prefix := range append(prefixes(), "") {
		if _, ok := f.Tensor(prefix + fmt.Sprintf(layer, 0) + ".mlp.gate_proj.weight"); ok {
			return true
		}
	}
	return false
}

// tensorSpecs lists the tensors of the embeddings and of the first blocks blocks.
func (c config) tensorSpecs(blocks int) []weights.TensorSpec {
	w := &vision.TensorSpecs{Prefixes: prefixes()}
	w.Add(class, []int{1, 1, c.Width})
	if c.Registers > 0 {
		w.Add(registers, []int{1, c.Registers, c.Width})
	}
	w.AddAffine(patches, c.PatchShape())
	for i := range blocks {
		c.addBlock(w, fmt.Sprintf(layer, i))
	}
	return w.List
}

func (c config) addBlock(w *vision.TensorSpecs, name string) {
	for _, names := range [][2]string{{"query", "q_proj"}, {"key", "k_proj"}, {"value", "v_proj"}} {
		part, other := name+".attention.attention."+names[0], name+".attention."+names[1]
		w.Add(part+".weight", []int{c.Width, c.Width}, other+".weight")
		if c.QKVBias {
			w.Add(part+".bias", []int{c.Width}, other+".bias")
		}
	}
	w.AddAffine(name+".attention.output.dense", []int{c.Width, c.Width}, name+".attention.o_proj")
	for _, half := range []string{"1", "2"} {
		w.AddAffine(name+".norm"+half, []int{c.Width})
		w.Add(name+".layer_scale"+half+".lambda1", []int{c.Width})
	}
	switch {
	case !c.SwiGLU:
		c.AddMLP(w, name+".mlp")
		return
	case c.split:
		w.AddAffine(name+".mlp.gate_proj", []int{c.Inner, c.Width})
		w.AddAffine(name+".mlp.up_proj", []int{c.Inner, c.Width})
	default:
		w.AddAffine(name+".mlp.weights_in", []int{2 * c.Inner, c.Width})
	}
	w.AddAffine(name+".mlp.weights_out", []int{c.Width, c.Inner}, name+".mlp.down_proj")
}

// unused lists the tensors that the file may hold and the encoder does not read.
func (c config) unused() weights.UnusedList {
	list := vision.WithPrefixes(prefixes(), weights.UnusedList{
		{Name: "embeddings.mask_token", Reason: "the token of masked patches, in pre-training only"},
		{Name: "layernorm.weight", Reason: "features do not pass the final norm"},
		{Name: "layernorm.bias", Reason: "features do not pass the final norm"},
	})
	return append(list,
		weights.Unused{Name: "classifier.weight", Reason: "the head of a classifier"},
		weights.Unused{Name: "classifier.bias", Reason: "the head of a classifier"})
}

// emptyRegisters lists the registers of a file that holds none: transformers saves a tensor
// without elements if num_register_tokens is 0.
func emptyRegisters(f *weights.Folder) weights.UnusedList {
	var list weights.UnusedList
	for _, prefix := range append(prefixes(), "") {
		if v, ok := f.Tensor(prefix + registers); ok && adapters.Elements(v.Shape) == 0 {
			list = append(list, weights.Unused{Name: prefix + registers, Reason: "it has no elements"})
		}
	}
	return list
}

// embed builds hidden state 0: float32[B, H, W, 3] → float[B, N, D].
func (c config) embed(p layers.Params, pixels *Node) *Node {
	x := vision.WithClass(p.Get(class), c.PatchEmbedding(p.At(patches), pixels))
	x = vision.AddPositions(p, positions, x)
	if c.Registers == 0 {
		return x
	}
	return vision.WithTokens(p.Get(registers), x, 1)
}

// block is Dinov2Layer: float[B, N, D] → float[B, N, D].
func (c config) block(p layers.Params, index int, x *Node) *Node {
	p = p.At(fmt.Sprintf(layer, index))
	scale := func(half string, x *Node) *Node {
		return Mul(x, ExpandLeftToRank(p.Get("layer_scale"+half+".lambda1"), 3))
	}
	x = c.Residual(p.At("norm1"), x, func(x *Node) *Node {
		linear := func(name string) *Node { return layers.Linear(p.At("attention.attention."+name), x) }
		x = c.SelfAttention(linear("query"), linear("key"), linear("value"))
		return scale("1", layers.Linear(p.At("attention.output.dense"), x))
	})
	return c.Residual(p.At("norm2"), x, func(x *Node) *Node { return scale("2", c.feedForward(p.At("mlp"), x)) })
}

// feedForward computes an MLP, or Dinov2SwiGLUFFN: out(silu(gate(x))·value(x)).
func (c config) feedForward(p layers.Params, x *Node) *Node {
	if !c.SwiGLU {
		return c.MLP(p, x)
	}
	var gate, value *Node
	if c.split {
		gate, value = layers.Linear(p.At("gate_proj"), x), layers.Linear(p.At("up_proj"), x)
	} else {
		both := layers.Linear(p.At("weights_in"), x)
		half := func(i int) *Node { return Slice(both, AxisRange(), AxisRange(), AxisRange(i*c.Inner, (i+1)*c.Inner)) }
		gate, value = half(0), half(1)
	}
	return layers.Linear(p.At("weights_out"), Mul(layers.Activation("silu", gate), value))
}
