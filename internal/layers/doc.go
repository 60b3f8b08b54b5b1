// Package layers owns the graph-building functions that the Q-Former and every backbone family
// share: access to named weights, linear maps in PyTorch's layout, norms, activations,
// multi-head attention, and dropout with an explicit state. It must not know which model it
// builds.
//
// All functions build graph nodes. As is GoMLX's convention they panic if shapes do not fit;
// the code that compiles the graph turns the panic into an error. The package owns no tensor:
// weights belong to the store.
package layers
