package lm

import (
	"cmp"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/layers"
)

// maxGraphs bounds the compiled graphs that are kept.
const maxGraphs = 32

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
}

type entry struct {
	exec *model.Exec
	used int64
}

func newGraphs(backend compute.Backend, store *model.Store) *graphs {
	return &graphs{backend: backend, store: store, entries: map[key]*entry{}}
}

// run computes the graph that build makes for k. The caller owns the results.
func (g *graphs) run(k key, build builder, args ...any) ([]*tensors.Tensor, error) {
	e, err := g.entry(k, build)
	if err != nil {
		return nil, adapters.Errorf(adapters.Internal, "graph: %w", err)
	}
	out, err := e.exec.Exec(args...)
	if err = backends.ExplainMemory(err); err != nil {
		return nil, adapters.Errorf(cmp.Or(adapters.KindOf(err), adapters.Internal), "graph of batch %d, length %d: %w", k.batch, k.length, err)
	}
	return out, nil
}

func (g *graphs) entry(k key, build builder) (*entry, error) {
	g.clock++
	if e, ok := g.entries[k]; ok {
		e.used = g.clock
		return e, nil
	}
	if len(g.entries) >= maxGraphs {
		g.dropOldest()
	}
	exec, err := model.NewExec(g.backend, g.store, func(_ *model.Scope, in []*Node) []*Node {
		return build(layers.NewParams(g.store, in[0].Graph()), in)
	})
	if err != nil {
		return nil, err
	}
	e := &entry{exec: exec, used: g.clock}
	g.entries[k] = e
	return e, nil
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
