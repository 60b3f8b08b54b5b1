package plugins

import (
	"context"
	"errors"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// languageClient is a language model that lives in a plugin. It has every
// optional method; the spec says which of them the plugin serves.
type languageClient struct {
	process *Process
	spec    adapters.LanguageSpec
}

var (
	_ adapters.LanguageModel = (*languageClient)(nil)
	_ adapters.Scorer        = (*languageClient)(nil)
	_ adapters.TokenEmbedder = (*languageClient)(nil)
	_ adapters.TokenCounter  = (*languageClient)(nil)
)

// Spec returns what the plugin said when it loaded the model.
func (c *languageClient) Spec() adapters.LanguageSpec { return c.spec }

// Close ends the plugin.
func (c *languageClient) Close() error { return c.process.Close() }

// Loss calls the plugin.
func (c *languageClient) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	const op = "loss"
	if err := req.Check(c.spec); err != nil {
		return nil, withOp(op, err)
	}
	var resp *adapters.LossResponse
	err := c.process.call(ctx, "Loss", op, func(ctx context.Context, i *instance, where func() *ProcessError) error {
		resp = &adapters.LossResponse{}
		x := exchange{to: i, method: i.rpc.Loss, where: where}
		if req.Gradient {
			x.room = room(req.Prompts.Shape...)
		}
		x.call = func(out *outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_Loss{Loss: &pb.LossRequest{
				Prompts: out.announce(req.Prompts), Examples: examplesToWire(req.Examples), Gradient: req.Gradient,
			}}}
		}
		x.reply = func(in *inbound, r *pb.Reply) (err error) {
			w := r.GetLoss()
			if w == nil {
				return errWrongPart
			}
			resp.Loss, resp.Tokens = w.Loss, w.Tokens
			resp.Gradient, err = in.accept("gradient", w.Gradient)
			return err
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		if err := resp.Check(c.spec, req); err != nil {
			return checked(op, err, where)
		}
		return finite(op, where, named{"loss", adapters.FromFloat32(resp.Loss, len(resp.Loss))}, named{"gradient", resp.Gradient})
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// Generate calls the plugin. Where the request is repeated, emit sees every
// piece once.
func (c *languageClient) Generate(ctx context.Context, req *adapters.GenerateRequest,
	emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	const op = "generate"
	if err := req.Check(c.spec); err != nil {
		return nil, withOp(op, err)
	}
	var resp *adapters.GenerateResponse
	emitted := make([]string, len(req.Examples))
	err := c.process.call(ctx, "Generate", op, func(ctx context.Context, i *instance, where func() *ProcessError) error {
		resp = &adapters.GenerateResponse{}
		x := exchange{to: i, method: i.rpc.Generate, where: where}
		x.call = func(out *outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_Generate{Generate: &pb.GenerateRequest{
				Prompts: out.announce(req.Prompts), Examples: examplesToWire(req.Examples), Options: optionsToWire(req.Options),
			}}}
		}
		x.piece = onlyNew(emitted, emit)
		x.reply = func(_ *inbound, r *pb.Reply) error {
			w := r.GetGenerate()
			if w == nil {
				return errWrongPart
			}
			resp.Texts, resp.Tokens = w.Texts, w.Tokens
			return nil
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		return checked(op, resp.Check(req), where)
	})
	var own *emitError
	if errors.As(err, &own) {
		return nil, own.error
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// onlyNew passes on what emit has not seen in an earlier attempt. emitted is
// the text that it has, per example; it outlives the attempts.
func onlyNew(emitted []string, emit func(adapters.Piece) error) func(*pb.Piece) error {
	now := make([]string, len(emitted))
	return func(w *pb.Piece) error {
		i := int(w.Example)
		if i >= len(emitted) {
			return protocolErrorf("got a piece of example %d, the request has %d", i, len(emitted))
		}
		if emit == nil {
			return nil
		}
		now[i] += w.Text
		if len(now[i]) <= len(emitted[i]) && strings.HasPrefix(emitted[i], now[i]) {
			return nil
		}
		if !strings.HasPrefix(now[i], emitted[i]) {
			return protocolErrorf("repeated, example %d begins with %q, it was %q", i, now[i], emitted[i])
		}
		rest := now[i][len(emitted[i]):]
		emitted[i] = now[i]
		if err := emit(adapters.Piece{Example: i, Text: rest}); err != nil {
			return &emitError{err}
		}
		return nil
	}
}

// emitError keeps the error of the caller's own function apart from errors of
// the call.
type emitError struct{ error }

// Unwrap returns the caller's error.
func (e *emitError) Unwrap() error { return e.error }

// Score calls the plugin.
func (c *languageClient) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	const op = "score"
	if err := req.Check(c.spec); err != nil {
		return nil, withOp(op, err)
	}
	var resp *adapters.ScoreResponse
	err := c.process.call(ctx, "Score", op, func(ctx context.Context, i *instance, where func() *ProcessError) error {
		resp = &adapters.ScoreResponse{}
		x := exchange{to: i, method: i.rpc.Score, where: where, room: room(len(req.Examples), len(req.Candidates[0]))}
		x.call = func(out *outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_Score{Score: &pb.ScoreRequest{
				Prompts: out.announce(req.Prompts), Examples: examplesToWire(req.Examples),
				Candidates: candidatesToWire(req.Candidates),
			}}}
		}
		x.reply = func(in *inbound, r *pb.Reply) (err error) {
			w := r.GetScore()
			if w == nil {
				return errWrongPart
			}
			resp.Scores, err = in.accept("scores", w.Scores)
			return err
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		if err := resp.Check(req); err != nil {
			return checked(op, err, where)
		}
		return finite(op, where, named{"scores", resp.Scores})
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// EmbedTokens calls the plugin.
func (c *languageClient) EmbedTokens(ctx context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	const op = "embed tokens"
	if err := checkTexts(req.Texts); err != nil {
		return nil, withOp(op, err)
	}
	var resp *adapters.EmbedTokensResponse
	err := c.process.call(ctx, "EmbedTokens", op, func(ctx context.Context, i *instance, where func() *ProcessError) error {
		resp = &adapters.EmbedTokensResponse{}
		x := exchange{to: i, method: i.rpc.EmbedTokens, where: where, room: c.embeddingsRoom(req)}
		x.call = func(*outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_EmbedTokens{EmbedTokens: &pb.EmbedTokensRequest{Texts: req.Texts}}}
		}
		x.reply = func(in *inbound, r *pb.Reply) (err error) {
			w := r.GetEmbedTokens()
			if w == nil {
				return errWrongPart
			}
			resp.Surfaces, resp.Counts = w.Surfaces, w.Counts
			resp.Embeddings, err = in.accept("embeddings", w.Embeddings)
			return err
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		if err := resp.Check(c.spec, req); err != nil {
			return checked(op, err, where)
		}
		return finite(op, where, named{"embeddings", resp.Embeddings})
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// embeddingsRoom returns the bytes that embeddings may take: of all tokens, or
// of texts, where a token has a byte at least, but for those at either end.
func (c *languageClient) embeddingsRoom(req *adapters.EmbedTokensRequest) uint64 {
	if len(req.Texts) == 0 {
		return room(c.spec.Vocabulary, c.spec.Width)
	}
	tokens := 0
	for _, t := range req.Texts {
		tokens += len(t) + 2
	}
	return room(tokens, c.spec.Width)
}

// CountTokens calls the plugin.
func (c *languageClient) CountTokens(ctx context.Context, texts []string) ([]int32, error) {
	const op = "count tokens"
	if err := checkTexts(texts); err != nil {
		return nil, withOp(op, err)
	}
	var counts []int32
	err := c.process.call(ctx, "CountTokens", op, func(ctx context.Context, i *instance, where func() *ProcessError) error {
		x := exchange{to: i, method: i.rpc.CountTokens, where: where}
		x.call = func(*outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_CountTokens{CountTokens: &pb.CountTokensRequest{Texts: texts}}}
		}
		x.reply = func(_ *inbound, r *pb.Reply) error {
			w := r.GetCountTokens()
			if w == nil {
				return errWrongPart
			}
			counts = w.Counts
			return nil
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		return checked(op, checkCounts(counts, texts), where)
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}
