// Package layers holds the graph-building pieces that the Q-Former and every
// backbone family share: access to named weights, linear maps in PyTorch's
// layout, norms, activations, attention over heads, dropout with an explicit
// key.
//
// All functions build graph nodes. As is GoMLX's convention they panic on a
// shape that does not fit; whoever compiles the graph turns the panic into an
// error. Nothing here owns a tensor: weights belong to the store.
package layers
