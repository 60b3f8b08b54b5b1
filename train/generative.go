package train

import (
	"context"
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train/optim"
)

// generative is the step of stage 2 and of the projector's warm-up: soft
// prompts by the bridge, loss and gradient by the frozen language model behind
// its contract, then the backward pass of the bridge with that gradient.
type generative struct {
	session *Session
	stage   Stage
	opt     *optim.AdamW
	rates   rates
	// source gives the graph's input for examples: features, or Q-Former
	// outputs where only the projection is trained.
	source Features

	forward, update, accumulate, scale *model.Exec
}

func newGenerative(ctx context.Context, s *Session, st Stage) (_ *generative, err error) {
	g := &generative{session: s, stage: st, source: s.Train.Features}
	if st.CachedQueries > 0 {
		if g.source, err = cacheQueries(ctx, s, st); err != nil {
			return nil, err
		}
	}
	if g.opt, g.rates, err = newOptimizer(s.Bridge, st); err != nil {
		return nil, err
	}
	if err := g.compile(); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// CheckLanguage verifies that something can be trained through a language model.
func CheckLanguage(m adapters.LanguageModel) error {
	if m == nil {
		return adapters.Errorf(adapters.Invalid, "stage 2 needs a language model")
	}
	if spec := m.Spec(); !spec.Has(adapters.CapGradient) {
		return adapters.Errorf(adapters.Unsupported, "%s gives no gradient by the soft prompts, so nothing can be trained through it", spec.ID).
			WithRemedy("train with an adapter that does, on the same checkpoint; captions and scores work with this one")
	}
	return nil
}

// prompts builds float32[B, Q, Dllm] from the source's tensor.
func (g *generative) prompts(in, rng *Node) *Node {
	config, store := g.session.Bridge.Config(), g.session.Bridge.Store()
	if g.stage.CachedQueries > 0 {
		return qformer.New(config, store, in.Graph(), nil).Project(ConvertDType(in, dtypes.Float32))
	}
	return qformer.New(config, store, in.Graph(), qformer.NewRNG(rng)).Prompts(in)
}

// gradients builds the bridge's gradients, given the loss's gradient by the
// soft prompts (a vector-Jacobian product; the forward pass is recomputed).
func (g *generative) gradients(in, rng, cotangent *Node) []*Node {
	return Gradient(qformer.WithCotangent(g.prompts(in, rng), cotangent), g.opt.Parameters(in.Graph())...)
}

func (g *generative) compile() error {
	backend, store := g.session.Bridge.Backend(), g.session.Bridge.Store()
	build := func(target **model.Exec, f func(in []*Node) []*Node) error {
		e, err := model.NewExec(backend, store, func(_ *model.Scope, in []*Node) []*Node { return f(in) })
		*target = e
		return err
	}
	if err := build(&g.forward, func(in []*Node) []*Node {
		return []*Node{g.prompts(in[0], in[1])}
	}); err != nil {
		return err
	}
	if g.stage.Accumulate <= 1 {
		return build(&g.update, func(in []*Node) []*Node {
			return []*Node{g.opt.Apply(g.gradients(in[0], in[1], in[2]), in[3])}
		})
	}
	if err := build(&g.accumulate, func(in []*Node) []*Node {
		sum := g.gradients(in[0], in[1], in[2])
		for i, before := range in[3:] {
			sum[i] = Add(sum[i], before)
		}
		return sum
	}); err != nil {
		return err
	}
	return build(&g.scale, func(in []*Node) []*Node {
		scaled := make([]*Node, len(in)-1)
		for i, x := range in[1:] {
			scaled[i] = Mul(x, in[0])
		}
		return scaled
	})
}

func (g *generative) close() {
	for _, e := range []*model.Exec{g.forward, g.update, g.accumulate, g.scale} {
		if e != nil {
			e.Finalize()
		}
	}
	g.opt.Close()
}

func (g *generative) optimizer() *optim.AdamW { return g.opt }

// prepare does optimizer step n, counted from 0, up to the gradient of the language
// model: nothing of it is applied unless all of it can be.
func (g *generative) prepare(ctx context.Context, n int) (*prepared, error) {
	batch := g.session.picks(g.stage, n)
	runs, total, err := g.runs(ctx, n, batch)
	free := func() {
		for _, m := range runs {
			m.free()
		}
	}
	if err == nil {
		err = g.compileUpdate(runs[0])
	}
	if err != nil {
		free()
		return nil, err
	}
	return &prepared{free: free, apply: func() (outcome, error) {
		norm, err := g.apply(n, runs, total)
		return outcome{Losses: map[string]float64{"loss": total.perToken()}, Images: len(batch), GradNorm: float64(norm)}, err
	}}, nil
}

// runs does the micro-batches of a step up to their gradients. What it returns is to
// be freed, also with an error.
func (g *generative) runs(ctx context.Context, n int, batch []data.Pick) (runs []*microBatch, total loss, err error) {
	micro := max(1, g.stage.Accumulate)
	size := len(batch) / micro
	for k, ahead := 0, g.start(ctx, n, 0, batch[:size]); k < micro; k++ {
		m := <-ahead
		if m.err != nil {
			return runs, total, m.err
		}
		runs = append(runs, m)
		if k+1 < micro { // the Q-Former works on the next while the language model works on this
			ahead = g.start(ctx, n, k+1, batch[(k+1)*size:(k+2)*size])
		}
		part, err := g.score(ctx, m)
		total.add(part)
		if err != nil {
			if k+1 < micro {
				(<-ahead).free()
			}
			return runs, total, err
		}
	}
	return runs, total, nil
}

// compileUpdate compiles what apply will run with micro-batches like this one.
func (g *generative) compileUpdate(m *microBatch) error {
	cotangent := shapes.Make(dtypes.Float32, m.cotangent.Shape...)
	if g.update != nil {
		learning, err := g.opt.Rates(g.rates.at(0))
		if err != nil {
			return err
		}
		defer learning.FinalizeAll()
		_, err = g.update.Compile(m.in.Shape(), m.rng.Shape(), cotangent, learning.Shape())
		return err
	}
	all := []shapes.Shape{m.in.Shape(), m.rng.Shape(), cotangent}
	for _, p := range g.opt.Names() {
		all = append(all, g.session.Bridge.Store().GetVariable(qformer.VariablePath(p)).Shape())
	}
	_, err := g.accumulate.Compile(all...)
	return err
}

// compileFor compiles a graph for arguments, where that is not done yet.
func compileFor(e *model.Exec, args ...*tensors.Tensor) error {
	all := make([]shapes.Shape, len(args))
	for i, t := range args {
		all[i] = t.Shape()
	}
	_, err := e.Compile(all...)
	return err
}

// loss is a sum over target tokens, in nats.
type loss struct{ nats, tokens float64 }

func (l *loss) add(o loss) { l.nats += o.nats; l.tokens += o.tokens }

func (l loss) perToken() float64 { return l.nats / max(1, l.tokens) }

// microBatch is a part of a step on its way.
type microBatch struct {
	examples  []adapters.Example
	in, rng   *tensors.Tensor
	host      *adapters.Tensor // prompts
	cotangent *adapters.Tensor // gradient of the summed loss by prompts
	err       error
}

func (m *microBatch) free() {
	for _, t := range []*tensors.Tensor{m.in, m.rng} {
		if t != nil {
			t.FinalizeAll()
		}
	}
}

// start runs the forward pass of one micro-batch in the background.
func (g *generative) start(ctx context.Context, n, k int, batch []data.Pick) <-chan *microBatch {
	done := make(chan *microBatch, 1)
	go func() {
		m := &microBatch{}
		m.err = g.run(ctx, m, n, k, batch)
		done <- m
	}()
	return done
}

func (g *generative) run(ctx context.Context, m *microBatch, n, k int, batch []data.Pick) (err error) {
	rows := make([]int, len(batch))
	for i, p := range batch {
		rows[i] = p.Index
		if err := g.cut(ctx, &p); err != nil {
			return err
		}
		m.examples = append(m.examples, example(g.session.Plan.Prompts, g.stage.Objective, p, i))
	}
	features, err := g.source.Features(ctx, rows)
	if err != nil {
		return err
	}
	if m.in, err = hosttensor.ToDevice(g.session.Bridge.Backend(), features); err != nil {
		return err
	}
	if m.rng, err = rngState(g.session.Plan.Seed, g.stage.Name, n, k); err != nil {
		return err
	}
	prompts, err := g.forward.Call1(m.in, m.rng)
	if err != nil {
		return fmt.Errorf("forward pass of the bridge: %w", err)
	}
	m.host, err = hosttensor.FromDevice(prompts)
	return err
}

// cut shortens what is too long of a pick.
func (g *generative) cut(ctx context.Context, p *data.Pick) (err error) {
	if p.Question != nil {
		q := *p.Question
		q.Answer, err = g.session.fit(ctx, q.Answer)
		p.Question = &q
		return err
	}
	if p.Prefix, err = g.session.fit(ctx, p.Prefix); err == nil {
		p.Caption, err = g.session.fit(ctx, p.Caption)
	}
	return err
}

// score asks the language model for loss and gradient.
func (g *generative) score(ctx context.Context, m *microBatch) (loss, error) {
	resp, err := g.session.Language.Loss(ctx, &adapters.LossRequest{Prompts: m.host, Examples: m.examples, Gradient: true})
	if err != nil {
		return loss{}, err
	}
	for i, l := range resp.Loss {
		if math.IsNaN(float64(l)) || math.IsInf(float64(l), 0) {
			return loss{}, adapters.Errorf(adapters.Corrupt, "the frozen language model %s gives a loss of %v for %q", g.session.Language.Spec().ID, l, m.examples[i].Target).
				WithRemedy("its weights may be damaged, or its dtype too narrow: check it with `bridge caption`, or set language.dtype = \"float32\"")
		}
	}
	m.cotangent = resp.Gradient
	return sumLoss(resp), nil
}

func sumLoss(resp *adapters.LossResponse) (l loss) {
	for i := range resp.Loss {
		l.nats += float64(resp.Loss[i])
		l.tokens += float64(resp.Tokens[i])
	}
	return l
}

// apply runs the backward passes and steps the optimizer with the gradient of
// the mean loss per token of the whole batch.
func (g *generative) apply(n int, runs []*microBatch, total loss) (float32, error) {
	inverse := float32(1 / max(1, total.tokens))
	if g.update != nil {
		return g.applyAtOnce(n, runs[0], inverse)
	}
	sums := make([]any, len(g.opt.Names()))
	for i, p := range g.opt.Names() {
		v := g.session.Bridge.Store().GetVariable(qformer.VariablePath(p))
		sums[i] = tensors.FromShape(v.Shape())
	}
	for _, m := range runs {
		cotangent, err := hosttensor.ToDevice(g.session.Bridge.Backend(), m.cotangent)
		if err != nil {
			return 0, err
		}
		next, err := g.accumulate.Call(append([]any{m.in, m.rng, cotangent}, sums...)...)
		finalize(append(sums, cotangent))
		if err != nil {
			return 0, fmt.Errorf("backward pass of the bridge: %w", err)
		}
		sums = anys(next)
	}
	scaled, err := g.scale.Call(append([]any{inverse}, sums...)...)
	finalize(sums)
	if err != nil {
		return 0, fmt.Errorf("backward pass of the bridge: %w", err)
	}
	defer finalize(anys(scaled))
	return g.opt.Step(scaled, g.rates.at(n))
}

// applyAtOnce is backward pass and optimizer step in one graph.
func (g *generative) applyAtOnce(n int, m *microBatch, inverse float32) (float32, error) {
	for i, v := range m.cotangent.Float32s() {
		m.cotangent.Float32s()[i] = v * inverse
	}
	cotangent, err := hosttensor.ToDevice(g.session.Bridge.Backend(), m.cotangent)
	if err != nil {
		return 0, err
	}
	defer cotangent.FinalizeAll()
	learning, err := g.opt.Rates(g.rates.at(n))
	if err != nil {
		return 0, err
	}
	defer learning.FinalizeAll()
	norms, err := g.update.Call1(m.in, m.rng, cotangent, learning)
	if err != nil {
		return 0, fmt.Errorf("backward pass of the bridge: %w", err)
	}
	defer norms.FinalizeAll()
	return g.opt.Commit(norms)
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
