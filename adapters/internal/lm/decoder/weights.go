package decoder

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/weights"
)

// headName is the name of an untied head.
const headName = "lm_head"

// Weights names the weights of a checkpoint. A base model's are saved without
// the prefix that they have in the model with a head.
type Weights struct {
	Prefix    string // "model."
	Embedding string // of the token embeddings, without prefix and ".weight"
	OwnHead   bool   // the head is not the token embeddings
}

// FindWeights decides whether the head is tied as transformers does (tie_weights in
// modeling_utils.py): it is tied if config.json says so, unless the file holds both
// tensors and they differ.
func FindWeights(folder *weights.Folder, prefix, embedding string, tied bool) Weights {
	w := Weights{Prefix: prefix, Embedding: embedding, OwnHead: !tied}
	_, hasHead := folder.Tensor(headName + ".weight")
	table, _, hasTable := folder.Find(w.Spec(embedding + ".weight"))
	if tied && hasHead && hasTable {
		w.OwnHead = !folder.Same(headName+".weight", table)
	}
	return w
}

// EmbeddingName returns the name of the token embeddings.
func (w Weights) EmbeddingName() string { return w.Prefix + w.Embedding + ".weight" }

// Spec describes a tensor that the file holds with or without the prefix.
func (w Weights) Spec(name string, shape ...int) weights.TensorSpec {
	return weights.TensorSpec{Name: w.Prefix + name, Shape: shape, Aliases: []string{name}}
}

// Outer describes the token embeddings [V, D] and the head, if it is not tied. A tied
// model may be saved with its head alone.
func (w Weights) Outer(vocabulary, width int) []weights.TensorSpec {
	embedding := w.Spec(w.Embedding+".weight", vocabulary, width)
	head := weights.TensorSpec{Name: headName + ".weight", Shape: []int{vocabulary, width}, Linear: true}
	if w.OwnHead {
		return []weights.TensorSpec{embedding, head}
	}
	embedding.Aliases = append(embedding.Aliases, head.Name)
	return []weights.TensorSpec{embedding}
}

// Unused returns the tensors that the file may hold and the model does not read: a tied
// head, which [FindWeights] has compared, and constants of the base model.
func (w Weights) Unused(constants ...weights.Unused) weights.UnusedList {
	var list weights.UnusedList
	if !w.OwnHead {
		list = append(list, weights.Unused{Name: headName + ".weight", Reason: "it equals the token embeddings, to which config.json ties it; bridge reads a head that differs"})
	}
	for _, c := range constants {
		list = append(list, c, weights.Unused{Name: w.Prefix + c.Name, Reason: c.Reason})
	}
	return list
}

// At returns the weights below the prefix: At(p, "norm").
func (w Weights) At(p layers.Params, name string) layers.Params { return p.At(w.Prefix + name) }

// Embed looks token embeddings up: int32[...] → float[..., D].
func (w Weights) Embed(p layers.Params, ids *Node) *Node {
	return layers.Embedding(w.At(p, w.Embedding), ids)
}

// Logits applies the head: float[..., D] → float[..., V].
func (w Weights) Logits(p layers.Params, states *Node) *Node {
	if w.OwnHead {
		return layers.Linear(p.At(headName), states)
	}
	return layers.LinearWith(states, p.Get(w.EmbeddingName()), nil)
}
