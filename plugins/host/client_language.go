package host

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// languageClient is a language model in a plugin. It has every optional method. The spec
// says which of them the plugin serves.
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

// Spec returns the spec that the plugin sent when it loaded the model.
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
	err := c.process.call(ctx, "Loss", op, func(ctx context.Context, i *instance, processError func() *ProcessError) error {
		resp = &adapters.LossResponse{}
		x := exchange{to: i, method: i.rpc.Loss, processError: processError}
		if req.Gradient {
			x.replyBytes = tensorBytes(req.Prompts.Shape...)
		}
		x.call = func(out *wire.Outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_Loss{Loss: &pb.LossRequest{
				Prompts: out.Announce(req.Prompts), Examples: wire.EncodeExamples(req.Examples), Gradient: req.Gradient,
			}}}
		}
		x.reply = func(in *wire.Inbound, r *pb.Reply) (err error) {
			w := r.GetLoss()
			if w == nil {
				return errWrongPart
			}
			resp.Loss, resp.Tokens = w.Loss, w.Tokens
			resp.Gradient, err = in.Accept("gradient", w.Gradient)
			return err
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		if err := resp.Check(c.spec, req); err != nil {
			return responseError(op, err, processError)
		}
		return checkFinite(op, processError, namedTensor{"loss", adapters.FromFloat32(resp.Loss, len(resp.Loss))}, namedTensor{"gradient", resp.Gradient})
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// Score calls the plugin.
func (c *languageClient) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	const op = "score"
	if err := req.Check(c.spec); err != nil {
		return nil, withOp(op, err)
	}
	var resp *adapters.ScoreResponse
	err := c.process.call(ctx, "Score", op, func(ctx context.Context, i *instance, processError func() *ProcessError) error {
		resp = &adapters.ScoreResponse{}
		x := exchange{to: i, method: i.rpc.Score, processError: processError, replyBytes: tensorBytes(len(req.Examples), len(req.Candidates[0]))}
		x.call = func(out *wire.Outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_Score{Score: &pb.ScoreRequest{
				Prompts: out.Announce(req.Prompts), Examples: wire.EncodeExamples(req.Examples),
				Candidates: wire.EncodeCandidates(req.Candidates),
			}}}
		}
		x.reply = func(in *wire.Inbound, r *pb.Reply) (err error) {
			w := r.GetScore()
			if w == nil {
				return errWrongPart
			}
			resp.Scores, err = in.Accept("scores", w.Scores)
			return err
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		if err := resp.Check(req); err != nil {
			return responseError(op, err, processError)
		}
		return checkFinite(op, processError, namedTensor{"scores", resp.Scores})
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
	err := c.process.call(ctx, "EmbedTokens", op, func(ctx context.Context, i *instance, processError func() *ProcessError) error {
		resp = &adapters.EmbedTokensResponse{}
		x := exchange{to: i, method: i.rpc.EmbedTokens, processError: processError, replyBytes: c.embeddingsBytes(req)}
		x.call = func(*wire.Outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_EmbedTokens{EmbedTokens: &pb.EmbedTokensRequest{Texts: req.Texts}}}
		}
		x.reply = func(in *wire.Inbound, r *pb.Reply) (err error) {
			w := r.GetEmbedTokens()
			if w == nil {
				return errWrongPart
			}
			resp.Surfaces, resp.Counts = w.Surfaces, w.Counts
			resp.Embeddings, err = in.Accept("embeddings", w.Embeddings)
			return err
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		if err := resp.Check(c.spec, req); err != nil {
			return responseError(op, err, processError)
		}
		return checkFinite(op, processError, namedTensor{"embeddings", resp.Embeddings})
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// embeddingsBytes returns an upper bound for the size of the embeddings of all tokens, or of
// texts. A token takes at least one byte of a text, except the two at its ends.
func (c *languageClient) embeddingsBytes(req *adapters.EmbedTokensRequest) uint64 {
	if len(req.Texts) == 0 {
		return tensorBytes(c.spec.Vocabulary, c.spec.Width)
	}
	tokens := 0
	for _, t := range req.Texts {
		tokens += len(t) + 2
	}
	return tensorBytes(tokens, c.spec.Width)
}

// CountTokens calls the plugin.
func (c *languageClient) CountTokens(ctx context.Context, texts []string) ([]int32, error) {
	const op = "count tokens"
	if err := checkTexts(texts); err != nil {
		return nil, withOp(op, err)
	}
	var counts []int32
	err := c.process.call(ctx, "CountTokens", op, func(ctx context.Context, i *instance, processError func() *ProcessError) error {
		x := exchange{to: i, method: i.rpc.CountTokens, processError: processError}
		x.call = func(*wire.Outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_CountTokens{CountTokens: &pb.CountTokensRequest{Texts: texts}}}
		}
		x.reply = func(_ *wire.Inbound, r *pb.Reply) error {
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
		return responseError(op, wire.CheckCounts(counts, texts), processError)
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}
