package lm

import (
	"cmp"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/hostmemory"
	"github.com/modular-bridging/bridge/internal/layers"
)

// maxGraphs bounds the compiled graphs that are kept.
const maxGraphs = 32

// largeModel is the size of weights, in bytes, from which a process gives memory back in training. For
// smaller models that is not worth a garbage collection.
const largeModel = 64 << 20

// purpose names the computation of a graph.
type purpose uint8

const (
	lossGraph purpose = iota
	gradientGraph
	prefillGraph
	stepGraph
	normGraph
)

// key identifies a graph.
type key struct {
	purpose purpose
	shape
	capacity int // C, positions of generatedKV
	beams    int // k, rows of each example in generation
}

// builder builds a graph from its inputs.
type builder func(p layers.Params, in []*Node) []*Node

// graphs caches compiled graphs. It compiles a graph when it is first needed and drops
// the least recently used.
type graphs struct {
	backend compute.Backend
	store   *model.Store
	entries map[key]*entry
	clock   int64
	large   bool // the weights are so large that memory of the process is given back
}

type entry struct {
	exec *model.Exec
	used int64
}

func newGraphs(backend compute.Backend, store *model.Store) *graphs {
	return &graphs{backend: backend, store: store, entries: map[key]*entry{}, large: store.ByteSize() >= largeModel}
}

// run computes the graph that build makes for k. The caller owns the results.
func (g *graphs) run(k key, build builder, args ...any) ([]*tensors.Tensor, error) {
	e, isNew, err := g.entry(k, build)
	if err == nil && isNew && g.large && k.purpose == gradientGraph {
		err = e.compileForTraining(args)
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.Internal, "graph: %w", err)
	}
	out, err := e.exec.Exec(args...)
	if err = backends.ExplainMemory(err); err != nil {
		return nil, adapters.Errorf(cmp.Or(adapters.KindOf(err), adapters.Internal), "graph of batch %d, length %d: %w", k.batch, k.length, err)
	}
	return out, nil
}

// compileForTraining compiles a graph for arguments, which must be tensors. It gives back the memory
// that the compilation took, before the graph takes its own. From then on, the process gives back what a
// graph computes in when the graph ends: then the trained part of a step needs memory.
func (e *entry) compileForTraining(args []any) error {
	all := make([]shapes.Shape, len(args))
	for i, a := range args {
		all[i] = a.(*tensors.Tensor).Shape()
	}
	if _, err := e.exec.Compile(all...); err != nil {
		return err
	}
	hostmemory.ReturnLargeBlocks()
	hostmemory.Settle()
	return nil
}

// entry returns the graph for k, and whether it is new.
func (g *graphs) entry(k key, build builder) (_ *entry, isNew bool, err error) {
	g.clock++
	if e, ok := g.entries[k]; ok {
		e.used = g.clock
		return e, false, nil
	}
	if len(g.entries) >= maxGraphs {
		g.dropOldest()
	}
	exec, err := model.NewExec(g.backend, g.store, func(_ *model.Scope, in []*Node) []*Node {
		return build(layers.NewParams(g.store, in[0].Graph()), in)
	})
	if err != nil {
		return nil, false, err
	}
	e := &entry{exec: exec, used: g.clock}
	g.entries[k] = e
	return e, true, nil
}

func (g *graphs) dropOldest() {
	var oldest key
	least := g.clock
	for k, e := range g.entries {
		if e.used < least {
			oldest, least = k, e.used
		}
	}
	g.entries[oldest].exec.Finalize()
	delete(g.entries, oldest)
}

// close frees all graphs.
func (g *graphs) close() {
	for _, e := range g.entries {
		e.exec.Finalize()
	}
	clear(g.entries)
}
