package golden

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
)

// BridgeModel has the methods that the cases of a bridge call; bridge.Model has them.
type BridgeModel interface {
	// Encode returns features [B, N, Denc] of images uint8[B, H, W, 3].
	Encode(ctx context.Context, images *adapters.Tensor) (*adapters.Tensor, error)
	// Queries and SoftPrompts return float32[B, Q, D] and float32[B, Q, Dllm] of
	// features.
	Queries(ctx context.Context, features *adapters.Tensor) (*adapters.Tensor, error)
	SoftPrompts(ctx context.Context, features *adapters.Tensor) (*adapters.Tensor, error)
	// Similarity returns ITC's cosines float32[B, T] of features and texts, Match
	// ITM's logits float32[B, 2] of pairs.
	Similarity(ctx context.Context, features *adapters.Tensor, texts []string) (*adapters.Tensor, error)
	Match(ctx context.Context, features *adapters.Tensor, texts []string) (*adapters.Tensor, error)
}

// Bridge runs the cases of whole bridges. language is nil for a bridge without a
// language model.
func Bridge(b BridgeModel, language adapters.LanguageModel) Runner {
	return RunnerFunc(func(ctx context.Context, c *Case) (Outputs, error) {
		if c.Images == nil && (c.Op == "loss" || c.Op == "generate") { // texts alone
			return Language(language).RunCase(ctx, c)
		}
		if c.Images == nil {
			return Outputs{}, adapters.Errorf(adapters.Invalid, "case %q has no images", c.Name)
		}
		features, err := b.Encode(ctx, c.Images)
		if err != nil {
			return Outputs{}, err
		}
		switch c.Op {
		case "queries":
			out, err := b.Queries(ctx, features)
			return tensors("queries", out), err
		case "match":
			return runMatch(ctx, b, features, c.Texts)
		case "soft_prompts", "loss", "generate":
			prompts, err := b.SoftPrompts(ctx, features)
			if err != nil || c.Op == "soft_prompts" {
				return tensors("prompts", prompts), err
			}
			with := *c
			with.Prompts = prompts
			if c.Op == "loss" {
				return runLoss(ctx, language, &with)
			}
			return runGenerate(ctx, language, &with)
		}
		return Outputs{}, adapters.Errorf(adapters.Unsupported, "a bridge has no op %q", c.Op)
	})
}

// runMatch compares every picture with every text.
func runMatch(ctx context.Context, b BridgeModel, features *adapters.Tensor, texts []string) (Outputs, error) {
	itc, err := b.Similarity(ctx, features, texts)
	if err != nil {
		return Outputs{}, err
	}
	n, t := features.Shape[0], len(texts)
	itm := adapters.NewTensor(adapters.Float32, n, t, 2)
	for i := range n {
		repeated := adapters.NewTensor(features.DType, append([]int{t}, features.Shape[1:]...)...)
		for j := range t {
			copy(repeated.Row(j).Data, features.Row(i).Data)
		}
		logits, err := b.Match(ctx, repeated, texts)
		if err != nil {
			return Outputs{}, err
		}
		copy(itm.Row(i).Data, logits.Data)
	}
	return Outputs{Tensors: map[string]*adapters.Tensor{"itc": itc, "itm": itm}}, nil
}
