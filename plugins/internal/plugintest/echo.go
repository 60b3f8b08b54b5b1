package plugintest

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// The tensors of the mode "echo" have the size of a batch of 64 of ViT-g's features in 16
// bits: float32[64, 32, 5632], 46 MB.
const (
	EchoBatch  = 64
	EchoTokens = 32
	EchoWidth  = 5632
	EchoBytes  = EchoBatch * EchoTokens * EchoWidth * 4
)

// echoFamilies compute nothing: their answers are there before the call.
func echoFamilies() []adapters.Family {
	answer := adapters.NewTensor(adapters.Float32, EchoBatch, EchoTokens, EchoWidth)
	return []adapters.Family{
		{Name: "language", Kind: adapters.KindLanguage,
			OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
				return echoLanguage{adaptertest.NewFakeLanguage(req.ID, 1), answer}, nil
			}},
		{Name: "vision", Kind: adapters.KindVision,
			OpenVision: func(_ context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
				return echoVision{adaptertest.NewFakeVision(req.ID, 1), answer}, nil
			}},
	}
}

type echoLanguage struct {
	adapters.LanguageModel
	answer *adapters.Tensor
}

func (m echoLanguage) Spec() adapters.LanguageSpec {
	spec := m.LanguageModel.Spec()
	spec.Width = EchoWidth
	return spec
}

func (m echoLanguage) Loss(_ context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	resp := &adapters.LossResponse{Loss: make([]float32, len(req.Examples)), Tokens: make([]int32, len(req.Examples))}
	if req.Gradient {
		resp.Gradient = m.answer
	}
	return resp, nil
}

type echoVision struct {
	adapters.VisionEncoder
	answer *adapters.Tensor
}

func (m echoVision) Spec() adapters.VisionSpec {
	spec := m.VisionEncoder.Spec()
	spec.Tokens, spec.Width = EchoTokens, EchoWidth
	return spec
}

func (m echoVision) Encode(context.Context, *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	return &adapters.EncodeResponse{Features: m.answer}, nil
}
