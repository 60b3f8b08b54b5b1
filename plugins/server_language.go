package plugins

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// inputs receives what Loss, Generate and Score have in common, and the model
// that they are for.
func (s *server) inputs(c *call, prompts *pb.Tensor, examples []*pb.Example) (
	adapters.LanguageModel, *adapters.Tensor, []adapters.Example, error) {
	t, err := c.in.accept("prompts", prompts)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := c.finish(); err != nil {
		return nil, nil, nil, err
	}
	model, err := s.languageModel()
	return model, t, examplesFromWire(examples), err
}

// Loss answers the RPC of that name.
func (s *server) Loss(stream callStream) error {
	return answer(s.arenas, stream, "loss", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.part.GetLoss()
		if w == nil {
			return nil, protocolErrorf("got %T, want a loss request", c.part.Part)
		}
		model, prompts, examples, err := s.inputs(c, w.Prompts, w.Examples)
		if err != nil {
			return nil, err
		}
		req := &adapters.LossRequest{Prompts: prompts, Examples: examples, Gradient: w.Gradient}
		if err := req.Check(model.Spec()); err != nil {
			return nil, err
		}
		resp, err := model.Loss(ctx, req)
		if err != nil {
			return nil, err
		}
		if err := resp.Check(model.Spec(), req); err != nil {
			return nil, ownFault(err)
		}
		out := &pb.LossResponse{Loss: resp.Loss, Tokens: resp.Tokens, Gradient: c.out.announce(resp.Gradient)}
		return &pb.Reply{Part: &pb.Reply_Loss{Loss: out}}, nil
	})
}

// Generate answers the RPC of that name; pieces go out as they come.
func (s *server) Generate(stream callStream) error {
	return answer(s.arenas, stream, "generate", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.part.GetGenerate()
		if w == nil {
			return nil, protocolErrorf("got %T, want a generate request", c.part.Part)
		}
		model, prompts, examples, err := s.inputs(c, w.Prompts, w.Examples)
		if err != nil {
			return nil, err
		}
		req := &adapters.GenerateRequest{Prompts: prompts, Examples: examples, Options: optionsFromWire(w.Options)}
		if err := req.Check(model.Spec()); err != nil {
			return nil, err
		}
		resp, err := model.Generate(ctx, req, func(p adapters.Piece) error {
			return stream.Send(&pb.Reply{Part: &pb.Reply_Piece{Piece: &pb.Piece{Example: uint32(p.Example), Text: p.Text}}})
		})
		if err != nil {
			return nil, err
		}
		if err := resp.Check(req); err != nil {
			return nil, ownFault(err)
		}
		return &pb.Reply{Part: &pb.Reply_Generate{Generate: &pb.GenerateResponse{Texts: resp.Texts, Tokens: resp.Tokens}}}, nil
	})
}

// Score answers the RPC of that name.
func (s *server) Score(stream callStream) error {
	return answer(s.arenas, stream, "score", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.part.GetScore()
		if w == nil {
			return nil, protocolErrorf("got %T, want a score request", c.part.Part)
		}
		model, prompts, examples, err := s.inputs(c, w.Prompts, w.Examples)
		if err != nil {
			return nil, err
		}
		scorer, ok := adapters.AsScorer(model)
		if !ok {
			return nil, lacks(model, adapters.CapScore)
		}
		req := &adapters.ScoreRequest{Prompts: prompts, Examples: examples, Candidates: candidatesFromWire(w.Candidates)}
		if err := req.Check(model.Spec()); err != nil {
			return nil, err
		}
		resp, err := scorer.Score(ctx, req)
		if err != nil {
			return nil, err
		}
		if err := resp.Check(req); err != nil {
			return nil, ownFault(err)
		}
		return &pb.Reply{Part: &pb.Reply_Score{Score: &pb.ScoreResponse{Scores: c.out.announce(resp.Scores)}}}, nil
	})
}

// EmbedTokens answers the RPC of that name.
func (s *server) EmbedTokens(stream callStream) error {
	return answer(s.arenas, stream, "embed tokens", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.part.GetEmbedTokens()
		if w == nil {
			return nil, protocolErrorf("got %T, want an embed tokens request", c.part.Part)
		}
		if err := c.finish(); err != nil {
			return nil, err
		}
		model, err := s.languageModel()
		if err != nil {
			return nil, err
		}
		embedder, ok := adapters.AsTokenEmbedder(model)
		if !ok {
			return nil, lacks(model, adapters.CapEmbedTokens)
		}
		req := &adapters.EmbedTokensRequest{Texts: w.Texts}
		resp, err := embedder.EmbedTokens(ctx, req)
		if err != nil {
			return nil, err
		}
		if err := resp.Check(model.Spec(), req); err != nil {
			return nil, ownFault(err)
		}
		out := &pb.EmbedTokensResponse{
			Surfaces: resp.Surfaces, Counts: resp.Counts, Embeddings: c.out.announce(resp.Embeddings),
		}
		return &pb.Reply{Part: &pb.Reply_EmbedTokens{EmbedTokens: out}}, nil
	})
}

// CountTokens answers the RPC of that name.
func (s *server) CountTokens(stream callStream) error {
	return answer(s.arenas, stream, "count tokens", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.part.GetCountTokens()
		if w == nil {
			return nil, protocolErrorf("got %T, want a count tokens request", c.part.Part)
		}
		if err := c.finish(); err != nil {
			return nil, err
		}
		model, err := s.languageModel()
		if err != nil {
			return nil, err
		}
		counter, ok := adapters.AsTokenCounter(model)
		if !ok {
			return nil, lacks(model, adapters.CapCountTokens)
		}
		counts, err := counter.CountTokens(ctx, w.Texts)
		if err != nil {
			return nil, err
		}
		if err := checkCounts(counts, w.Texts); err != nil {
			return nil, ownFault(err)
		}
		return &pb.Reply{Part: &pb.Reply_CountTokens{CountTokens: &pb.CountTokensResponse{Counts: counts}}}, nil
	})
}

func checkCounts(counts []int32, texts []string) error {
	if len(counts) != len(texts) {
		return adapters.Errorf(adapters.Invalid, "response has %d counts for %d texts", len(counts), len(texts))
	}
	for i, n := range counts {
		if n < 0 {
			return adapters.Errorf(adapters.Invalid, "counts[%d] is %d, want a number of tokens", i, n)
		}
	}
	return nil
}

func lacks(model adapters.LanguageModel, c adapters.Capability) error {
	spec := model.Spec()
	return adapters.Errorf(adapters.Unsupported, "%s lacks the capability %q, it has %q", spec.ID, c, spec.Capabilities)
}
