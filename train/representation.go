package train

import (
	"context"
	"fmt"
	"time"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/qformer"
	losses "github.com/modular-bridging/bridge/qformer/objective"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/train/optim"
)

// representation runs the steps of stage 1 ([objective.Representation]). One graph per
// text length computes ITC, ITM and ITG, and their gradients.
type representation struct {
	session *Session
	phase   Phase
	losses  losses.Config
	opt     *optim.AdamW
	peaks   peaks
	ahead   *readAhead
	exec    *model.Exec
}

func newRepresentation(ctx context.Context, s *Session, phase Phase) (*representation, error) {
	words := s.Bridge.Tokenizer()
	if words == nil {
		return nil, fmt.Errorf("%s needs a bridge with its text side, which this one has lost", phase.Objective)
	}
	r := &representation{session: s, phase: phase, losses: phase.Weights.Losses(words.DEC())}
	var err error
	if r.ahead, err = newReadAhead(ctx, s, phase, s.Train.Features); err != nil {
		return nil, err
	}
	if r.opt, r.peaks, err = newOptimizer(s.Bridge, phase); err != nil {
		return nil, err
	}
	r.exec, err = model.NewExec(s.Bridge.Backend(), s.Bridge.Store(), func(_ *model.Scope, in []*Node) []*Node { return r.build(in) })
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// build builds a step. It takes features [B, N, Denc], ids int32[B, T], image ids
// int32[B], and a state of random numbers. It returns the losses float32[4], the gradients'
// norms and the gradients.
func (r *representation) build(in []*Node) []*Node {
	features, ids, images := in[0], in[1], in[2]
	rng := qformer.NewRNG(in[3])
	m := r.session.qformer(ids.Graph(), rng)
	pad := Scalar(ids.Graph(), dtypes.Int32, r.session.Bridge.Tokenizer().Pad())
	l := losses.Stage1(m, r.losses, losses.Batch{
		Features: features, IDs: ids, Visible: NotEqual(ids, pad), ImageIDs: images,
	}, rng)
	gradients := Gradient(l.Total, r.opt.Parameters(ids.Graph())...)
	return append([]*Node{Stack([]*Node{l.Total, l.ITC, l.ITM, l.ITG}, 0), optim.Norms(gradients)}, gradients...)
}

func (r *representation) optimizer() *optim.AdamW { return r.opt }

func (r *representation) waited() (time.Duration, bool) { return r.ahead.waited() }

func (r *representation) close() {
	r.ahead.close()
	if r.exec != nil {
		r.exec.Finalize()
	}
	r.opt.Close()
}

func (r *representation) prepare(ctx context.Context, n int) (*preparedStep, error) {
	args, images, err := r.inputs(ctx, n)
	free := func() { finalize(anys(args)) }
	if err == nil {
		err = compileFor(r.exec, args...)
	}
	if err == nil {
		err = r.opt.Compile()
	}
	if err != nil {
		free()
		return nil, err
	}
	return &preparedStep{apply: func() (stepResult, error) { return r.apply(n, args, images) }, free: free}, nil
}

func (r *representation) apply(n int, args []*tensors.Tensor, images int) (stepResult, error) {
	out, err := r.exec.Call(anys(args)...)
	if err != nil {
		return stepResult{}, fmt.Errorf("stage-1 step: %w", err)
	}
	defer finalize(anys(out))
	values, err := hosttensor.Float32s(out[0])
	if err != nil {
		return stepResult{}, err
	}
	norm, err := r.opt.Step(r.peaks.at(n, r.session.schedule(r.phase)), out[1], out[2:])
	return stepResult{
		Losses: map[string]float64{"loss": float64(values[0]), "itc": float64(values[1]), "itm": float64(values[2]), "itg": float64(values[3])},
		Images: images, GradNorm: float64(norm), Cost: cost.Count{Stage1Passes: int64(images)},
	}, err
}

// textTokens returns the most tokens of a text, [CLS] and [SEP] included: what the plan
// allows, but no more than the Q-Former is made for.
func (r *representation) textTokens() int {
	if limit := r.session.Plan.MaxTextTokens; limit > 0 {
		return min(limit, bridge.MaxTextTokens)
	}
	return bridge.MaxTextTokens
}

// inputs returns the inputs of build for step n.
func (r *representation) inputs(ctx context.Context, n int) (args []*tensors.Tensor, images int, err error) {
	batch, err := r.ahead.batch(n)
	if err != nil {
		return nil, 0, err
	}
	rows, texts, ids := make([]int, len(batch)), make([]string, len(batch)), make([]int32, len(batch))
	for i, sample := range batch {
		rows[i], texts[i], ids[i] = sample.Index, sample.Caption, sample.ImageID
	}
	asked := time.Now()
	features, err := r.ahead.features(ctx, place{n, 0}, rows)
	r.ahead.waitedFor(time.Since(asked))
	if err != nil {
		return nil, 0, err
	}
	words, cut, err := r.session.Bridge.Tokenizer().BatchUpTo(texts, r.textTokens())
	if err != nil {
		return nil, 0, err
	}
	for _, i := range cut {
		r.session.texts.note(cutText{texts[i], r.textTokens()}, "")
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
	state, err := rngState(r.session.Plan.Seed, r.phase.Name, n, 0)
	if err != nil {
		return args, 0, err
	}
	return append(args, state), len(batch), nil
}
