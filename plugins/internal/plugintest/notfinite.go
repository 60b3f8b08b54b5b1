package plugintest

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

func notFiniteFamilies() []adapters.Family {
	return []adapters.Family{
		{Name: "language", Kind: adapters.KindLanguage,
			OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
				return notFiniteLanguage{adaptertest.NewFakeLanguage(req.ID, 1)}, nil
			}},
		{Name: "vision", Kind: adapters.KindVision,
			OpenVision: func(_ context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
				return notFiniteVision{adaptertest.NewFakeVision(req.ID, 1)}, nil
			}},
	}
}

// notFiniteLanguage answers with numbers that are not finite. For a loss, the first target
// names the tensor and the number.
type notFiniteLanguage struct{ *adaptertest.FakeLanguage }

func (m notFiniteLanguage) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	resp, err := m.FakeLanguage.Loss(ctx, req)
	if err != nil {
		return nil, err
	}
	what, value, _ := strings.Cut(req.Examples[0].Target, " ")
	bad, _ := strconv.ParseFloat(value, 32)
	switch what {
	case "loss":
		resp.Loss[len(resp.Loss)-1] = float32(bad)
	case "gradient":
		shape := resp.Gradient.Shape
		resp.Gradient.Float32s()[(shape[1]+2)*shape[2]+3] = float32(bad)
	}
	return resp, nil
}

func (m notFiniteLanguage) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	resp, err := m.FakeLanguage.Score(ctx, req)
	if err == nil {
		resp.Scores.Float32s()[0] = float32(math.NaN())
	}
	return resp, err
}

func (m notFiniteLanguage) EmbedTokens(ctx context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	resp, err := m.FakeLanguage.EmbedTokens(ctx, req)
	if err == nil {
		resp.Embeddings.Float32s()[0] = float32(math.Inf(-1))
	}
	return resp, err
}

type notFiniteVision struct{ *adaptertest.FakeVision }

func (m notFiniteVision) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	resp, err := m.FakeVision.Encode(ctx, req)
	if err == nil {
		resp.Features.Float32s()[4] = float32(math.Inf(1))
	}
	return resp, err
}
