package train

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/train/optim"
)

// generative runs the steps of stage 2 and of the projector's warm-up. The bridge
// computes soft prompts; the frozen language model, behind its contract, computes the
// loss and its gradient by the soft prompts; the bridge is differentiated with that
// gradient.
//
// A batch is computed in phase.Accumulate micro-batches. Their gradients add up on the
// device, and the optimizer steps with the sum.
type generative struct {
	session *Session
	phase   Phase
	opt     *optim.AdamW
	peaks   peaks
	// source gives the input of the graphs: features, or the Q-Former's outputs if the
	// phase caches them.
	source featurecache.Features
	ahead  *readAhead

	forward    *model.Exec // input, random state → soft prompts, residuals
	accumulate *model.Exec // input, random state, cotangent, sums → sums
	last       *model.Exec // input, random state, cotangent, residuals or sums → sums and their norms
}

func newGenerative(ctx context.Context, s *Session, phase Phase) (_ *generative, err error) {
	g := &generative{session: s, phase: phase, source: s.Train.Features}
	if phase.CachedQueries > 0 {
		if g.source, err = cacheQueries(ctx, s, phase); err != nil {
			return nil, err
		}
	}
	if g.ahead, err = newReadAhead(ctx, s, phase, g.source); err != nil {
		return nil, err
	}
	if g.opt, g.peaks, err = newOptimizer(s.Bridge, phase); err != nil {
		return nil, err
	}
	if err := g.build(); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// build makes the graphs. They are compiled when the shapes of their inputs are known.
func (g *generative) build() (err error) {
	exec := func(f func(in []*Node) []*Node) *model.Exec {
		if err != nil {
			return nil
		}
		var e *model.Exec
		e, err = model.NewExec(g.session.Bridge.Backend(), g.session.Bridge.Store(), func(_ *model.Scope, in []*Node) []*Node { return f(in) })
		return e
	}
	g.forward = exec(func(in []*Node) []*Node {
		var r *qformer.Residuals
		if g.keeps() {
			r = qformer.RecordResiduals()
		}
		return append([]*Node{g.prompts(in[0], in[1], r)}, r.Nodes()...)
	})
	g.accumulate = exec(func(in []*Node) []*Node {
		return g.gradients(in[0], in[1], in[2], nil, in[3:])
	})
	g.last = exec(func(in []*Node) []*Node {
		var r *qformer.Residuals
		before := in[3:]
		if g.keeps() { // then there is one micro-batch
			r, before = qformer.ReplayResiduals(before), nil
		}
		sums := g.gradients(in[0], in[1], in[2], r, before)
		return append(sums, optim.Norms(sums))
	})
	return err
}

// keeps reports whether the backward pass gets the residuals of the forward pass. Otherwise it computes
// the forward pass again: if memory is to be saved, and with several micro-batches, all of whose
// forward passes come first.
func (g *generative) keeps() bool {
	return g.phase.Accumulate <= 1 && g.phase.CachedQueries == 0 && !g.session.Checkpointing
}

// prompts builds float32[B, Q, Dllm] from the source's tensor. r may be nil.
func (g *generative) prompts(in, rng *Node, r *qformer.Residuals) *Node {
	if g.phase.CachedQueries > 0 {
		m := g.session.qformer(in.Graph(), nil)
		return m.Project(ConvertDType(in, m.DType()))
	}
	return g.session.qformer(in.Graph(), qformer.NewRNG(rng)).Keeping(r).Prompts(in)
}

// gradients builds the gradients of the bridge's parameters from the loss's gradient by
// the soft prompts (a vector-Jacobian product), and adds them to sums, one for each parameter, or to
// nothing. Without residuals, the forward pass is computed again.
func (g *generative) gradients(in, rng, cotangent *Node, r *qformer.Residuals, sums []*Node) []*Node {
	all := r.Gradient(qformer.WithCotangent(g.prompts(in, rng, r), cotangent), g.opt.Parameters(in.Graph())...)
	for i, sum := range sums {
		all[i] = Add(all[i], sum)
	}
	return all
}

func (g *generative) close() {
	g.ahead.close()
	for _, e := range []*model.Exec{g.forward, g.accumulate, g.last} {
		if e != nil {
			e.Finalize()
		}
	}
	g.opt.Close()
}

func (g *generative) optimizer() *optim.AdamW { return g.opt }

func (g *generative) waited() (time.Duration, bool) { return g.ahead.waited() }

// prepare runs step n, counted from 0, up to the gradient of the language model, and
// compiles the graphs that apply runs.
func (g *generative) prepare(ctx context.Context, n int) (*preparedStep, error) {
	batch, err := g.ahead.batch(n)
	if err != nil {
		return nil, err
	}
	parts, total, err := g.runMicroBatches(ctx, n, batch)
	free := func() {
		for _, m := range parts {
			m.free()
		}
	}
	if err == nil {
		err = g.compile(parts)
	}
	if err != nil {
		free()
		return nil, err
	}
	return &preparedStep{free: free, apply: func() (stepResult, error) {
		norm, err := g.apply(n, parts, total)
		return stepResult{Losses: map[string]float64{"loss": total.perToken()}, Images: len(batch), GradNorm: float64(norm), Cost: g.cost(len(batch))}, err
	}}, nil
}

// cost returns what a step of some pictures computes in the bridge.
func (g *generative) cost(pictures int) cost.Count {
	if g.phase.CachedQueries > 0 {
		return cost.Count{ProjectionPasses: int64(pictures)}
	}
	return cost.Count{QFormerPasses: int64(pictures)}
}

// runMicroBatches runs the micro-batches of a step up to their gradients. The caller
// frees what it returns, also after an error.
func (g *generative) runMicroBatches(ctx context.Context, n int, batch []data.Sample) (parts []*microBatch, total loss, err error) {
	count := max(1, g.phase.Accumulate)
	size := len(batch) / count
	spare, err := sparePicture(g.session.Train.Data, batch)
	if err != nil {
		return nil, total, err
	}
	each := prompts{promptCount(batch, size), spare}
	for k, ahead := 0, g.startForward(ctx, n, 0, batch[:size], each); k < count; k++ {
		stopped := time.Now()
		m := <-ahead
		g.ahead.waitedFor(m.waited.since(stopped))
		parts = append(parts, m)
		if m.err != nil {
			return parts, total, m.err
		}
		if k+1 < count { // the Q-Former works on the next while the language model works on this
			ahead = g.startForward(ctx, n, k+1, batch[(k+1)*size:(k+2)*size], each)
		}
		part, err := g.scoreMicroBatch(ctx, m)
		total.add(part)
		if err != nil {
			if k+1 < count {
				(<-ahead).free()
			}
			return parts, total, err
		}
	}
	return parts, total, nil
}

// compile compiles the graphs that apply runs with micro-batches, which all have the
// shapes of the first.
func (g *generative) compile(parts []*microBatch) error {
	m := parts[0]
	inputs := []shapes.Shape{m.in.Shape(), m.rng.Shape(), shapes.Make(dtypes.Float32, m.cotangent.Shape...)}
	for _, r := range m.residuals {
		inputs = append(inputs, r.Shape())
	}
	var sums []shapes.Shape
	if len(parts) > 1 {
		sums = g.parameterShapes()
		if _, err := g.accumulate.Compile(append(inputs[:3:3], sums...)...); err != nil {
			return err
		}
	}
	if _, err := g.last.Compile(append(inputs, sums...)...); err != nil {
		return err
	}
	return g.opt.Compile()
}

// parameterShapes returns the shapes of the trained parameters, in the optimizer's order.
func (g *generative) parameterShapes() []shapes.Shape {
	var all []shapes.Shape
	for _, name := range g.opt.Names() {
		all = append(all, g.session.Bridge.Store().GetVariable(qformer.VariablePath(name)).Shape())
	}
	return all
}

// apply differentiates the bridge and steps the optimizer with the gradient of the mean
// loss per token of the whole batch. It returns the gradient's norm.
func (g *generative) apply(n int, parts []*microBatch, total loss) (float32, error) {
	var sums []*tensors.Tensor
	defer func() { finalize(anys(sums)) }()
	last := parts[len(parts)-1]
	if len(parts) > 1 {
		for _, shape := range g.parameterShapes() {
			sums = append(sums, tensors.FromShape(shape))
		}
	}
	for _, m := range parts[:len(parts)-1] {
		next, err := g.differentiate(g.accumulate, m, total, sums...)
		if err != nil {
			return 0, err
		}
		finalize(anys(sums))
		sums = next
	}
	gradients, err := g.differentiate(g.last, last, total, slices.Concat(last.residuals, sums)...)
	if err != nil {
		return 0, err
	}
	last.free()
	finalize(anys(sums))
	norms := gradients[len(gradients)-1]
	defer norms.FinalizeAll()
	return g.opt.Step(g.peaks.at(n, g.session.schedule(g.phase)), norms, gradients[:len(gradients)-1])
}

// differentiate runs a backward pass of the bridge. The gradient by a micro-batch's soft
// prompts, which is of the summed loss, becomes that of the mean loss per token.
func (g *generative) differentiate(exec *model.Exec, m *microBatch, total loss, more ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	inverse := float32(1 / max(1, total.tokens))
	for i, v := range m.cotangent.Float32s() {
		m.cotangent.Float32s()[i] = v * inverse
	}
	cotangent, err := hosttensor.ToDevice(g.session.Bridge.Backend(), m.cotangent)
	if err != nil {
		return nil, err
	}
	defer cotangent.FinalizeAll()
	out, err := exec.Call(anys(append([]*tensors.Tensor{m.in, m.rng, cotangent}, more...))...)
	if err != nil {
		return nil, fmt.Errorf("backward pass of the bridge: %w", err)
	}
	return out, nil
}

// compileFor compiles a graph for the shapes of arguments, unless it is compiled already.
func compileFor(e *model.Exec, args ...*tensors.Tensor) error {
	all := make([]shapes.Shape, len(args))
	for i, t := range args {
		all[i] = t.Shape()
	}
	_, err := e.Compile(all...)
	return err
}

func anys(ts []*tensors.Tensor) []any {
	out := make([]any, len(ts))
	for i, t := range ts {
		out[i] = t
	}
	return out
}

func finalize(ts []any) {
	for _, t := range ts {
		t.(*tensors.Tensor).FinalizeAll()
	}
}
