package train

import (
	"context"
	"fmt"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/qformer/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// representation is the step of stage 1: ITC, ITM and ITG, their gradients and
// the optimizer's update in one graph per text length.
type representation struct {
	session *Session
	stage   Stage
	config  objective.Config
	opt     *optim.AdamW
	rates   rates
	exec    *model.Exec
}

func newRepresentation(s *Session, st Stage) (*representation, error) {
	words := s.Bridge.Tokenizer()
	if words == nil {
		return nil, fmt.Errorf("stage %s (%s) needs a bridge of stage 1; this one has lost its text side", st.Name, st.Objective)
	}
	if st.Accumulate > 1 {
		return nil, fmt.Errorf("stage %s: accumulate = %d, but ITC compares the whole batch at once; use 1 and a smaller batch", st.Name, st.Accumulate)
	}
	r := &representation{session: s, stage: st, config: objectiveConfig(st, words.DEC())}
	var err error
	if r.opt, r.rates, err = newOptimizer(s.Bridge, st); err != nil {
		return nil, err
	}
	r.exec, err = model.NewExec(s.Bridge.Backend(), s.Bridge.Store(), func(_ *model.Scope, in []*Node) []*Node { return r.build(in) })
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// objectiveConfig is the paper's with the stage's weights; no weight at all
// means all of them.
func objectiveConfig(st Stage, begin int32) objective.Config {
	c := objective.BLIP2()
	c.Begin = int(begin)
	if st.ITC != 0 || st.ITM != 0 || st.ITG != 0 {
		c.ITC, c.ITM, c.ITG = st.ITC, st.ITM, st.ITG
	}
	return c
}

// build takes features, ids int32[B, T], image ids int32[B], a state of random
// numbers and the optimizer's rates, and returns losses float32[4] and the
// gradients' norms.
func (r *representation) build(in []*Node) []*Node {
	features, ids, images, learning := in[0], in[1], in[2], in[4]
	rng := qformer.NewRNG(in[3])
	m := qformer.New(r.session.Bridge.Config(), r.session.Bridge.Store(), ids.Graph(), rng)
	pad := Scalar(ids.Graph(), dtypes.Int32, r.session.Bridge.Tokenizer().Pad())
	l := objective.Stage1(m, r.config, objective.Batch{
		Features: features, IDs: ids, Visible: NotEqual(ids, pad), ImageIDs: images,
	}, rng)
	norms := r.opt.Apply(Gradient(l.Total, r.opt.Parameters(ids.Graph())...), learning)
	return []*Node{Stack([]*Node{l.Total, l.ITC, l.ITM, l.ITG}, 0), norms}
}

func (r *representation) optimizer() *optim.AdamW { return r.opt }

func (r *representation) close() {
	if r.exec != nil {
		r.exec.Finalize()
	}
	r.opt.Close()
}

func (r *representation) prepare(ctx context.Context, n int) (*prepared, error) {
	args, images, err := r.inputs(ctx, n)
	free := func() { finalize(anys(args)) }
	if err == nil {
		err = compileFor(r.exec, args...)
	}
	if err != nil {
		free()
		return nil, err
	}
	return &prepared{apply: func() (outcome, error) { return r.apply(args, images) }, free: free}, nil
}

func (r *representation) apply(args []*tensors.Tensor, images int) (outcome, error) {
	losses, norms, err := r.exec.Call2(anys(args)...)
	if err != nil {
		return outcome{}, fmt.Errorf("stage-1 step: %w", err)
	}
	defer norms.FinalizeAll()
	values, err := hosttensor.Float32s(losses)
	if err != nil {
		return outcome{}, err
	}
	norm, err := r.opt.Commit(norms)
	return outcome{
		Losses: map[string]float64{"loss": float64(values[0]), "itc": float64(values[1]), "itm": float64(values[2]), "itg": float64(values[3])},
		Images: images, GradNorm: float64(norm),
	}, err
}

// inputs gathers what build takes.
func (r *representation) inputs(ctx context.Context, n int) (args []*tensors.Tensor, images int, err error) {
	picks := r.session.picks(r.stage, n)
	rows, texts, ids := make([]int, len(picks)), make([]string, len(picks)), make([]int32, len(picks))
	for i, p := range picks {
		rows[i], texts[i], ids[i] = p.Index, p.Caption, r.session.Train.Data.Example(p.Index).ImageID
	}
	features, err := r.session.Train.Features.Features(ctx, rows)
	if err != nil {
		return nil, 0, err
	}
	words, err := r.session.Bridge.Tokenizer().Batch(texts)
	if err != nil {
		return nil, 0, err
	}
	backend := r.session.Bridge.Backend()
	f, err := hosttensor.ToDevice(backend, features)
	if err != nil {
		return nil, 0, err
	}
	args = append(args, f)
	w, err := hosttensor.ToDevice(backend, words)
	if err != nil {
		return args, 0, err
	}
	args = append(args, w, tensors.FromFlatDataAndDimensions(ids, len(ids)))
	state, err := rngState(r.session.Plan.Seed, r.stage.Name, n, 0)
	if err != nil {
		return args, 0, err
	}
	learning, err := r.opt.Rates(r.rates.at(n))
	if err != nil {
		return append(args, state), 0, err
	}
	return append(args, state, learning), len(picks), nil
}
