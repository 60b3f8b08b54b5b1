package layers

import . "github.com/gomlx/gomlx/core/graph"

// Turn is the backward pass of a part of a graph, after which that of another part begins. Without
// an order a backend may run the passes at the same time. Then each keeps its gradients of shared
// weights until they are added, and all of them keep their activations.
//
// Nodes of the part that is first must be made after those of the other, because
// differentiation begins with the last node. A nil Turn orders nothing.
type Turn struct{ over *Node }

// Ends returns x. When the gradient by it is known, the turn is over: x is the part's input.
func (t *Turn) Ends(x *Node) *Node {
	if t == nil {
		return x
	}
	return IdentityWithCustomGradient(x, func(_, cotangent *Node) *Node {
		t.over = cotangent
		return cotangent
	})
}

// Precedes returns y. Its backward pass begins when the turn is over: y is the other part's output.
func (t *Turn) Precedes(y *Node) *Node {
	if t == nil {
		return y
	}
	return IdentityWithCustomGradient(y, func(_, cotangent *Node) *Node {
		if t.over == nil {
			return cotangent
		}
		return OptimizationBarriers(cotangent, t.over)[0]
	})
}
