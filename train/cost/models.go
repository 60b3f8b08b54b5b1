package cost

import (
	"context"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// Vision returns an encoder that counts the pictures that e encodes. Closing it closes e. now
// returns the meter that counts at the time of a call, or nil.
func Vision(e adapters.VisionEncoder, now func() *Meter) adapters.VisionEncoder {
	return vision{e, now}
}

type vision struct {
	adapters.VisionEncoder
	now func() *Meter
}

func (v vision) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	resp, err := v.VisionEncoder.Encode(ctx, req)
	if m := v.now(); err == nil && m != nil {
		m.Add(Count{PicturesEncoded: int64(req.Images.Shape[0])})
	}
	return resp, err
}

// Language returns a language model with the capabilities of lm that counts calls of lm that
// succeed. Closing it closes lm. It is nil if lm is nil.
func (m *Meter) Language(lm adapters.LanguageModel) adapters.LanguageModel {
	if lm == nil {
		return nil
	}
	l := language{LanguageModel: lm, meter: m}
	l.scorer, _ = adapters.AsScorer(lm)
	l.embedder, _ = adapters.AsTokenEmbedder(lm)
	l.counter, _ = adapters.AsTokenCounter(lm)
	return l
}

// language has every optional method. Its spec lists only those that the model serves.
type language struct {
	adapters.LanguageModel
	meter    *Meter
	scorer   adapters.Scorer        // nil if the model is none
	embedder adapters.TokenEmbedder // likewise
	counter  adapters.TokenCounter  // likewise
}

func (l language) Spec() adapters.LanguageSpec {
	spec := l.LanguageModel.Spec()
	lacks := map[adapters.Capability]bool{
		adapters.CapScore: l.scorer == nil, adapters.CapEmbedTokens: l.embedder == nil, adapters.CapCountTokens: l.counter == nil,
	}
	spec.Capabilities = slices.DeleteFunc(slices.Clone(spec.Capabilities), func(c adapters.Capability) bool { return lacks[c] })
	return spec
}

func (l language) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	resp, err := l.LanguageModel.Loss(ctx, req)
	if n := int64(len(req.Examples)); err == nil && req.Gradient {
		l.meter.Add(Count{LanguagePasses: n})
	} else if err == nil {
		l.meter.Add(Count{LanguageForwards: n})
	}
	return resp, err
}

func (l language) Generate(ctx context.Context, req *adapters.GenerateRequest, emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	resp, err := l.LanguageModel.Generate(ctx, req, emit)
	if err == nil {
		c := Count{GeneratedTexts: int64(len(resp.Texts))}
		for _, n := range resp.Tokens {
			c.GeneratedTokens += int64(n)
		}
		l.meter.Add(c)
	}
	return resp, err
}

func (l language) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	if l.scorer == nil {
		return nil, l.unsupported("Score")
	}
	resp, err := l.scorer.Score(ctx, req)
	if err == nil {
		for _, candidates := range req.Candidates {
			l.meter.Add(Count{LanguageForwards: int64(len(candidates))})
		}
	}
	return resp, err
}

func (l language) EmbedTokens(ctx context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	if l.embedder == nil {
		return nil, l.unsupported("EmbedTokens")
	}
	resp, err := l.embedder.EmbedTokens(ctx, req)
	if err == nil {
		l.meter.Add(Count{TokenEmbeddings: 1})
	}
	return resp, err
}

func (l language) CountTokens(ctx context.Context, texts []string) ([]int32, error) {
	if l.counter == nil {
		return nil, l.unsupported("CountTokens")
	}
	return l.counter.CountTokens(ctx, texts)
}

func (l language) unsupported(method string) error {
	return adapters.Errorf(adapters.Unsupported, "%s does not offer %s", l.LanguageModel.Spec().ID, method)
}
