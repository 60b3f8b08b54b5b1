package vision

import "github.com/modular-bridging/bridge/internal/weights"

// TensorSpecs lists the tensors that a family's graph needs.
type TensorSpecs struct {
	// Prefixes stand before the names in some checkpoints.
	Prefixes []string
	List     []weights.TensorSpec
}

// Add appends a tensor; aliases are its names in some files.
func (t *TensorSpecs) Add(name string, shape []int, aliases ...string) {
	t.List = append(t.List, t.Spec(name, shape, aliases...))
}

// AddAffine appends a weight of the given shape, and a bias of its first axis.
func (t *TensorSpecs) AddAffine(name string, shape []int, aliases ...string) {
	weights, biases := make([]string, len(aliases)), make([]string, len(aliases))
	for i, alias := range aliases {
		weights[i], biases[i] = alias+".weight", alias+".bias"
	}
	t.Add(name+".weight", shape, weights...)
	t.Add(name+".bias", shape[:1], biases...)
}

// Spec describes a tensor with all the names that it may have.
func (t *TensorSpecs) Spec(name string, shape []int, aliases ...string) weights.TensorSpec {
	spec := weights.TensorSpec{Name: name, Shape: shape, Aliases: aliases}
	for _, prefix := range t.Prefixes {
		for _, n := range append([]string{name}, aliases...) {
			spec.Aliases = append(spec.Aliases, prefix+n)
		}
	}
	return spec
}

// UnusedOfWhole lists the tensors that the file of a whole CLIP or SigLIP has beside its vision
// encoder. model is its name.
func UnusedOfWhole(model string) weights.UnusedList {
	return weights.UnusedList{
		{Name: "text_model.*", Reason: "the text side of a whole " + model},
		{Name: "logit_scale", Reason: "the temperature of pairs of picture and text"},
		{Name: "classifier.weight", Reason: "the head of a classifier"},
		{Name: "classifier.bias", Reason: "the head of a classifier"},
	}
}

// WithPrefixes returns the list with each name as it is and behind each prefix.
func WithPrefixes(prefixes []string, list weights.UnusedList) weights.UnusedList {
	var out weights.UnusedList
	for _, u := range list {
		out = append(out, u)
		for _, prefix := range prefixes {
			out = append(out, weights.Unused{Name: prefix + u.Name, Reason: u.Reason})
		}
	}
	return out
}
