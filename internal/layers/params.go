package layers

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Params gives a graph access to the weights of a store by their checkpoint names. The weight
// "a.b.weight" is the store's variable "/a.b.weight".
type Params struct {
	store  *model.Store
	g      *Graph
	prefix string
	dtype  dtypes.DType
	// instead, if not nil, returns the node that takes a weight's place. The name is complete.
	instead func(name string, weight *Node) *Node
}

// NewParams returns the weights of store for use in graph g.
func NewParams(store *model.Store, g *Graph) Params {
	return Params{store: store, g: g, dtype: dtypes.InvalidDType}
}

// VariablePath returns the path of a weight's variable in the store, by its checkpoint name.
func VariablePath(name string) string { return "/" + name }

// WithDType returns p with every weight converted to dtype in the graph. With it, a graph can
// compute in bfloat16 with float32 variables.
func (p Params) WithDType(dtype dtypes.DType) Params {
	p.dtype = dtype
	return p
}

// At returns p with a prefix for every name, joined with a dot.
func (p Params) At(name string) Params {
	p.prefix += name + "."
	return p
}

// Graph returns the graph that uses the weights.
func (p Params) Graph() *Graph { return p.g }

// Has reports whether the store has the named weight.
func (p Params) Has(name string) bool {
	return p.store.GetVariable(VariablePath(p.prefix+name)) != nil
}

// Get returns the named weight as a node of the graph.
func (p Params) Get(name string) *Node {
	v := p.store.GetVariable(VariablePath(p.prefix + name))
	if v == nil {
		panic(fmt.Errorf("weight %q is not in the store", p.prefix+name))
	}
	n := v.NodeValue(p.g)
	if p.instead != nil {
		n = p.instead(p.prefix+name, n)
	}
	if p.dtype != dtypes.InvalidDType && n.DType().IsFloat() && n.DType() != p.dtype {
		n = ConvertDType(n, p.dtype)
	}
	return n
}
