package qformer

import (
	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/internal/layers"
)

// Residuals are the values of a forward pass that its backward pass, in a graph of its own, reads
// instead of computing them again: the results of all matrix products, and what dropout drops. The
// model of both graphs is [Model.Keeping] with them. Both graphs must build the same forward pass.
type Residuals struct{ layers *layers.Residuals }

// RecordResiduals returns Residuals for the graph of the forward pass.
func RecordResiduals() *Residuals { return &Residuals{layers.RecordResiduals()} }

// ReplayResiduals returns Residuals for the graph of the backward pass, whose inputs given have the
// values of the first graph's [Residuals.Nodes].
func ReplayResiduals(given []*Node) *Residuals { return &Residuals{layers.ReplayResiduals(given)} }

// Nodes returns what the forward pass kept, in an order that depends on the model alone.
func (r *Residuals) Nodes() []*Node { return r.inner().Nodes() }

// Gradient returns the gradients of a scalar by nodes, in the graph of the backward pass.
func (r *Residuals) Gradient(scalar *Node, nodes ...*Node) []*Node {
	return r.inner().Gradient(scalar, nodes...)
}

// inner returns the residuals for package layers, nil if r is nil.
func (r *Residuals) inner() *layers.Residuals {
	if r == nil {
		return nil
	}
	return r.layers
}
