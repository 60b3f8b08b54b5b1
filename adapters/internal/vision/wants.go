package vision

import "github.com/modular-bridging/bridge/internal/weights"

// Wants is a list of weights that a family's graph needs.
type Wants struct {
	// Prefixes go before the names in some checkpoints and not in others.
	Prefixes []string
	List     []weights.Want
}

// Add appends a weight; others are names that it has in some files instead.
func (w *Wants) Add(name string, shape []int, others ...string) {
	w.List = append(w.List, w.Want(name, shape, others...))
}

// Affine appends a weight of a shape and a bias of its first axis.
func (w *Wants) Affine(name string, shape []int, others ...string) {
	weights, biases := make([]string, len(others)), make([]string, len(others))
	for i, other := range others {
		weights[i], biases[i] = other+".weight", other+".bias"
	}
	w.Add(name+".weight", shape, weights...)
	w.Add(name+".bias", shape[:1], biases...)
}

// Want returns a weight under all the names that it may have.
func (w *Wants) Want(name string, shape []int, others ...string) weights.Want {
	want := weights.Want{Name: name, Shape: shape, Aliases: others}
	for _, prefix := range w.Prefixes {
		for _, n := range append([]string{name}, others...) {
			want.Aliases = append(want.Aliases, prefix+n)
		}
	}
	return want
}
