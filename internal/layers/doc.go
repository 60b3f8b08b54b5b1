// Package layers has the graph-building functions that the Q-Former and all backbone families
// share: access to named weights, linear maps in PyTorch's layout, norms, activations, multi-head
// attention, and dropout with an explicit state. It must not know which model it builds.
//
// All functions build graph nodes. By GoMLX's convention they panic if shapes do not fit, and the
// code that compiles the graph converts the panic to an error. The package owns no tensors: the
// store owns the weights.
package layers
