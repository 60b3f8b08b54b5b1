package engine

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/serve/batch"
	"github.com/modular-bridging/bridge/serve/fleet"
)

// GroundingRequest asks how likely an answer is with its pictures, with others, and with none.
type GroundingRequest struct {
	Lease  *fleet.Lease // the engine releases it, also after an error
	Tenant string
	Input  Input // with at least one picture
	Answer string
	Other  *adapters.Tensor // takes the place of each picture
}

// Grounding are mean log-probabilities of an answer's tokens, its end included, in nats.
type Grounding struct {
	Tokens             int
	Right, Other, None float64
}

// groundingRows is the number of rows of a request: three losses.
const groundingRows = 3

// grounding is a grounding request in the queue.
type grounding struct {
	request *GroundingRequest
	result  Grounding
	done    chan error // of size 1
}

// Ground answers a grounding request. It waits for its turn as [Engine.Generate] does.
func (e *Engine) Ground(ctx context.Context, r *GroundingRequest) (Grounding, error) {
	if err := r.check(ctx, e.model(r.Lease.Language).added()); err != nil {
		r.Lease.Release()
		return Grounding{}, err
	}
	g := &grounding{request: r, done: make(chan error, 1)}
	type together struct {
		bridge    *fleet.Bridge
		grounding bool
	}
	err := e.wait(ctx, r.Lease, g.done, &batch.Job{
		Context: ctx, Tenant: r.Tenant, Rows: groundingRows, Group: together{r.Lease.Bridge, true}, Data: g, Run: e.ground,
	})
	if err != nil {
		return Grounding{}, err
	}
	return g.result, nil
}

// check returns an error for a conversation that is too long. added is as for [Request.check].
func (r *GroundingRequest) check(ctx context.Context, added int) error {
	in := r.Input
	in.Segments = append(in.Segments[:len(in.Segments):len(in.Segments)], adapters.TextSegment(r.Answer))
	tokens, err := countTokens(ctx, r.Lease, in)
	if err != nil {
		return err
	}
	return in.checkLength(r.Lease.Language.Spec(), tokens, added, 1)
}

// ground computes the losses of a batch. If a batch of several fails, each job is computed alone.
func (e *Engine) ground(jobs []*batch.Job) {
	defer survive(jobs)
	err := groundTogether(jobs)
	if err != nil && len(jobs) > 1 && adapters.KindOf(err) != adapters.Unavailable {
		for _, j := range jobs {
			e.ground([]*batch.Job{j})
		}
		return
	}
	for _, j := range jobs {
		j.Done(err)
	}
}

func groundTogether(jobs []*batch.Job) error {
	w := watch(jobs)
	defer w.stop()
	var pictures []*adapters.Tensor
	req := &adapters.LossRequest{}
	for _, j := range jobs {
		r := j.Data.(*grounding).request
		right := adapters.Example{Segments: shift(r.Input.Segments, len(pictures)), Target: r.Answer}
		pictures = append(pictures, r.Input.Pictures...)
		other := adapters.Example{Segments: replace(right.Segments, len(pictures)), Target: r.Answer}
		pictures = append(pictures, r.Other)
		req.Examples = append(req.Examples, right, other, bridge.WithoutPicture(right))
	}
	lease := jobs[0].Data.(*grounding).request.Lease
	var err error
	if req.Prompts, err = softPrompts(w.ctx, lease, pictures); err != nil {
		return err
	}
	resp, err := lease.Language.Loss(w.ctx, req)
	if err != nil {
		return err
	}
	for i, j := range jobs {
		mean := func(row int) float64 {
			return -float64(resp.Loss[groundingRows*i+row]) / float64(resp.Tokens[groundingRows*i+row])
		}
		j.Data.(*grounding).result = Grounding{Tokens: int(resp.Tokens[groundingRows*i]), Right: mean(0), Other: mean(1), None: mean(2)}
	}
	return nil
}

// replace returns segments whose soft prompts are all of picture i.
func replace(segments []adapters.Segment, i int) []adapters.Segment {
	out := make([]adapters.Segment, len(segments))
	for at, s := range segments {
		if s.IsPrompt {
			s = adapters.PromptSegment(i)
		}
		out[at] = s
	}
	return out
}
