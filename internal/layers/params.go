package layers

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Params gives a graph the weights of a store by their checkpoint names. A
// weight "a.b.weight" is the store's variable "/a.b.weight".
type Params struct {
	store  *model.Store
	g      *Graph
	prefix string
	dtype  dtypes.DType
}

// NewParams returns the weights of store for use in graph g.
func NewParams(store *model.Store, g *Graph) Params {
	return Params{store: store, g: g, dtype: dtypes.InvalidDType}
}

// VariablePath returns the path of a weight's variable in the store, by its checkpoint name.
func VariablePath(name string) string { return "/" + name }

// WithDType returns p with every weight converted to dtype in the graph, so
// that float32 variables can be computed with in bfloat16.
func (p Params) WithDType(dtype dtypes.DType) Params {
	p.dtype = dtype
	return p
}

// At returns p with a prefix that goes before every name, joined by a dot.
func (p Params) At(name string) Params {
	p.prefix += name + "."
	return p
}

// Graph returns the graph that the weights are used in.
func (p Params) Graph() *Graph { return p.g }

// Has reports whether the store holds the named weight.
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
	if p.dtype != dtypes.InvalidDType && n.DType().IsFloat() && n.DType() != p.dtype {
		n = ConvertDType(n, p.dtype)
	}
	return n
}
