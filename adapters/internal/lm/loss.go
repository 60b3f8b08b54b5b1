package lm

import (
	"context"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/internal/layers"
)

// Loss scores each example's target and, if asked, returns the gradient of the
// summed loss by the soft prompts.
func (m *Model) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	if err := req.Check(m.c.Spec); err != nil {
		return nil, err
	}
	if err := m.acquire(ctx); err != nil {
		return nil, err
	}
	defer m.release()
	return m.loss(ctx, req)
}

// loss computes the request in chunks; the caller holds the lock.
func (m *Model) loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	layout := m.layout(req.Prompts)
	sequences, err := layout.WithTargets(req.Examples)
	if err != nil {
		return nil, err
	}
	if err := m.checkContext(req.Examples, sequences, nil); err != nil {
		return nil, err
	}
	longest, positions := 0, 0
	res := &adapters.LossResponse{Tokens: make([]int32, len(sequences))}
	for i, s := range sequences {
		res.Tokens[i] = int32(len(s.Target))
		longest, positions = max(longest, len(s.Target)), max(positions, len(s.Input))
	}
	rows := m.chunkRows(longest)
	if req.Gradient {
		spec := m.c.Spec
		rows = min(rows, gradientRows(spec.Backend, int(spec.Parameters), spec.Width, positions))
		res.Gradient = adapters.NewTensor(adapters.Float32, req.Prompts.Shape...)
	}
	for from := 0; from < len(sequences); from += rows {
		if err := ctx.Err(); err != nil {
			return nil, canceled(err)
		}
		b := pack(sequences[from:min(from+rows, len(sequences))], layout.Rows, m.c.SpecialTokens.Start)
		losses, err := m.chunkLoss(b, req.Prompts, res.Gradient)
		if err != nil {
			return nil, err
		}
		res.Loss = append(res.Loss, losses...)
	}
	return res, nil
}

// chunkLoss returns the losses of a batch and adds its gradient to gradient, if that is
// not nil.
func (m *Model) chunkLoss(b *batch, prompts, gradient *adapters.Tensor) ([]float32, error) {
	k := key{purpose: lossGraph, shape: b.shape}
	if gradient != nil && b.prompts > 0 {
		k.purpose = gradientGraph
	}
	args := []any{
		tensors.FromFlatDataAndDimensions(b.ids, b.batch, b.length),
		tensors.FromFlatDataAndDimensions(b.promptRows, b.batch, b.length),
		tensors.FromFlatDataAndDimensions(b.lengths, b.batch),
		tensors.FromFlatDataAndDimensions(b.decoder, b.batch, b.targets),
		tensors.FromFlatDataAndDimensions(b.targetPositions, b.batch*b.targets),
		tensors.FromFlatDataAndDimensions(b.target, b.batch*b.targets),
		tensors.FromFlatDataAndDimensions(b.weight, b.batch*b.targets),
	}
	if b.prompts > 0 {
		p, err := b.uploadPrompts(prompts)
		if err != nil {
			return nil, err
		}
		args = append(args, p)
	}
	defer free(args)
	out, err := m.graphs.run(k, func(p layers.Params, in []*Node) []*Node {
		return m.buildLoss(p, in, k.purpose == gradientGraph)
	}, args...)
	if err != nil {
		return nil, err
	}
	if k.purpose == gradientGraph {
		g, err := hosttensor.Float32s(out[1])
		if err != nil {
			return nil, adapters.Errorf(adapters.Internal, "gradient: %w", err)
		}
		b.addGradient(g, gradient)
	}
	losses, err := hosttensor.Float32s(out[0])
	if err != nil {
		return nil, adapters.Errorf(adapters.Internal, "loss: %w", err)
	}
	return losses[:b.size], nil
}

// addGradient adds the gradient by the prompts that the batch used to the gradient by
// all prompts.
func (b *batch) addGradient(used []float32, gradient *adapters.Tensor) {
	all := gradient.Float32s()
	n := b.rows * gradient.Shape[2]
	for i, p := range b.used {
		for j, x := range used[i*n : (i+1)*n] {
			all[p*n+j] += x
		}
	}
}

// buildLoss builds the graph from ids, promptRows, lengths, decoder, targetPositions,
// target, weight and, if there are any, soft prompts. It returns float32[B] and, if
// requested, the gradient float32[M, Q, D].
func (m *Model) buildLoss(p layers.Params, in []*Node, gradient bool) []*Node {
	ids, promptRows, lengths, decoder, targetPositions, target, weight := in[0], in[1], in[2], in[3], in[4], in[5], in[6]
	var prompts *Node
	if len(in) > 7 {
		prompts = in[7]
	}
	states := m.c.Network.States(p, Input{Embeds: embed(m.c.Network, p, ids, promptRows, prompts), Lengths: lengths, Decoder: decoder})
	d := states.Shape().Dimensions
	states = Reshape(states, d[0]*d[1], d[2])
	if m.c.Spec.Architecture == adapters.DecoderOnly {
		states = Gather(states, InsertAxes(targetPositions, -1))
	}
	logits := ConvertDType(m.c.Network.Logits(p, states), dtypes.Float32)
	nll := Mul(negativeLogLikelihood(logits, target), weight)
	losses := ReduceSum(Reshape(nll, decoder.Shape().Dimensions...), -1)
	if !gradient {
		return []*Node{losses}
	}
	return []*Node{losses, Gradient(ReduceAllSum(losses), prompts)[0]}
}

// negativeLogLikelihood is −log softmax(logits)[target]:
// float32[R, V], int32[R] → float32[R].
func negativeLogLikelihood(logits, target *Node) *Node {
	top := StopGradient(ReduceMax(logits, -1))
	shifted := Sub(logits, BroadcastToDims(InsertAxes(top, -1), logits.Shape().Dimensions...))
	row := Iota(logits.Graph(), target.Shape(), 0)
	picked := Gather(shifted, Stack([]*Node{row, target}, -1))
	return Sub(Log(ReduceSum(Exp(shifted), -1)), picked)
}

// Score returns the summed log-probabilities of candidate answers: the negative
// losses of the candidates as targets.
func (m *Model) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	if err := req.Check(m.c.Spec); err != nil {
		return nil, err
	}
	loss := &adapters.LossRequest{Prompts: req.Prompts}
	for i, candidates := range req.Candidates {
		for _, c := range candidates {
			loss.Examples = append(loss.Examples, adapters.Example{Segments: req.Examples[i].Segments, Target: c})
		}
	}
	res, err := m.Loss(ctx, loss)
	if err != nil {
		return nil, err
	}
	for i := range res.Loss {
		res.Loss[i] = -res.Loss[i]
	}
	return &adapters.ScoreResponse{Scores: adapters.FromFloat32(res.Loss, len(req.Examples), len(req.Candidates[0]))}, nil
}

// free frees the tensors among a graph's arguments.
func free(args []any) {
	for _, a := range args {
		if t, ok := a.(*tensors.Tensor); ok {
			_ = t.FinalizeAll()
		}
	}
}
