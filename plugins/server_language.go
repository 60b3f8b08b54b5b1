package plugins

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// inputs receives the prompts and examples of a Loss or Score request, and
// returns them with the model.
func (s *server) inputs(c *call, prompts *pb.Tensor, examples []*pb.Example) (
	adapters.LanguageModel, *adapters.Tensor, []adapters.Example, error) {
	t, err := c.in.Accept("prompts", prompts)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := c.receive(); err != nil {
		return nil, nil, nil, err
	}
	model, err := s.languageModel()
	return model, t, wire.DecodeExamples(examples), err
}

// Loss answers the RPC of that name.
func (s *server) Loss(stream callStream) error {
	return serveCall(s.arenas, stream, "loss", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.first.GetLoss()
		if w == nil {
			return nil, wire.ProtocolErrorf("got %T, want a loss request", c.first.Part)
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
			return nil, adapterFault(err)
		}
		out := &pb.LossResponse{Loss: resp.Loss, Tokens: resp.Tokens, Gradient: c.out.Announce(resp.Gradient)}
		return &pb.Reply{Part: &pb.Reply_Loss{Loss: out}}, nil
	})
}

// Generate answers the RPC of that name; pieces go out as they come.
func (s *server) Generate(stream callStream) error {
	return serveCall(s.arenas, stream, "generate", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.first.GetGenerate()
		if w == nil {
			return nil, wire.ProtocolErrorf("got %T, want a generate request", c.first.Part)
		}
		req, model, err := s.generateRequest(c, w)
		if err != nil {
			return nil, err
		}
		if err := req.Check(model.Spec()); err != nil {
			return nil, err
		}
		resp, err := model.Generate(ctx, req, func(p adapters.Piece) error {
			return stream.Send(&pb.Reply{Part: &pb.Reply_Piece{Piece: wire.EncodePiece(p)}})
		})
		if err != nil {
			return nil, err
		}
		if err := resp.Check(req); err != nil {
			return nil, adapterFault(err)
		}
		return &pb.Reply{Part: &pb.Reply_Generate{Generate: wire.EncodeGenerateResponse(resp)}}, nil
	})
}

// generateRequest receives the rest of a request, and returns it with the model.
func (s *server) generateRequest(c *call, w *pb.GenerateRequest) (*adapters.GenerateRequest, adapters.LanguageModel, error) {
	prompts, err := c.in.Accept("prompts", w.Prompts)
	if err != nil {
		return nil, nil, err
	}
	receive := c.receive
	if w.Cancelable {
		receive = c.receiveTensors
	}
	if err := receive(); err != nil {
		return nil, nil, err
	}
	model, err := s.languageModel()
	if err != nil {
		return nil, nil, err
	}
	req := &adapters.GenerateRequest{
		Prompts: prompts, Examples: wire.DecodeExamples(w.Examples), Options: wire.DecodeOptions(w.Options), Rows: wire.DecodeRows(w.Rows),
	}
	if w.Cancelable {
		req.Cancel = c.receiveCanceled(len(req.Examples), w.Canceled)
	}
	return req, model, nil
}

// Score answers the RPC of that name.
func (s *server) Score(stream callStream) error {
	return serveCall(s.arenas, stream, "score", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.first.GetScore()
		if w == nil {
			return nil, wire.ProtocolErrorf("got %T, want a score request", c.first.Part)
		}
		model, prompts, examples, err := s.inputs(c, w.Prompts, w.Examples)
		if err != nil {
			return nil, err
		}
		scorer, ok := adapters.AsScorer(model)
		if !ok {
			return nil, lacksCapability(model, adapters.CapScore)
		}
		req := &adapters.ScoreRequest{Prompts: prompts, Examples: examples, Candidates: wire.DecodeCandidates(w.Candidates)}
		if err := req.Check(model.Spec()); err != nil {
			return nil, err
		}
		resp, err := scorer.Score(ctx, req)
		if err != nil {
			return nil, err
		}
		if err := resp.Check(req); err != nil {
			return nil, adapterFault(err)
		}
		return &pb.Reply{Part: &pb.Reply_Score{Score: &pb.ScoreResponse{Scores: c.out.Announce(resp.Scores)}}}, nil
	})
}

// EmbedTokens answers the RPC of that name.
func (s *server) EmbedTokens(stream callStream) error {
	return serveCall(s.arenas, stream, "embed tokens", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.first.GetEmbedTokens()
		if w == nil {
			return nil, wire.ProtocolErrorf("got %T, want an embed tokens request", c.first.Part)
		}
		if err := c.receive(); err != nil {
			return nil, err
		}
		model, err := s.languageModel()
		if err != nil {
			return nil, err
		}
		embedder, ok := adapters.AsTokenEmbedder(model)
		if !ok {
			return nil, lacksCapability(model, adapters.CapEmbedTokens)
		}
		req := &adapters.EmbedTokensRequest{Texts: w.Texts}
		resp, err := embedder.EmbedTokens(ctx, req)
		if err != nil {
			return nil, err
		}
		if err := resp.Check(model.Spec(), req); err != nil {
			return nil, adapterFault(err)
		}
		out := &pb.EmbedTokensResponse{
			Surfaces: resp.Surfaces, Counts: resp.Counts, Embeddings: c.out.Announce(resp.Embeddings),
		}
		return &pb.Reply{Part: &pb.Reply_EmbedTokens{EmbedTokens: out}}, nil
	})
}

// CountTokens answers the RPC of that name.
func (s *server) CountTokens(stream callStream) error {
	return serveCall(s.arenas, stream, "count tokens", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.first.GetCountTokens()
		if w == nil {
			return nil, wire.ProtocolErrorf("got %T, want a count tokens request", c.first.Part)
		}
		if err := c.receive(); err != nil {
			return nil, err
		}
		model, err := s.languageModel()
		if err != nil {
			return nil, err
		}
		counter, ok := adapters.AsTokenCounter(model)
		if !ok {
			return nil, lacksCapability(model, adapters.CapCountTokens)
		}
		counts, err := counter.CountTokens(ctx, w.Texts)
		if err != nil {
			return nil, err
		}
		if err := wire.CheckCounts(counts, w.Texts); err != nil {
			return nil, adapterFault(err)
		}
		return &pb.Reply{Part: &pb.Reply_CountTokens{CountTokens: &pb.CountTokensResponse{Counts: counts}}}, nil
	})
}

func lacksCapability(model adapters.LanguageModel, c adapters.Capability) error {
	spec := model.Spec()
	return adapters.Errorf(adapters.Unsupported, "%s lacks the capability %q, it has %q", spec.ID, c, spec.Capabilities)
}
