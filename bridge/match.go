package bridge

import (
	"context"
	"errors"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/qformer"
)

var errNoTextSide = errors.New("this bridge is of stage 2 and has no text side; retrieval and matching need a stage-1 bridge")

// EmbedImages returns unit vectors float32[B, Q, P] for features [B, N, Denc],
// comparable with [Bridge.EmbedTexts]'s (ITC).
func (b *Bridge) EmbedImages(ctx context.Context, features *adapters.Tensor) (*adapters.Tensor, error) {
	if b.tokenizer == nil {
		return nil, errNoTextSide
	}
	return b.inBuckets(ctx, "embed-images", features, func(m *qformer.Model, features *Node) *Node {
		return m.ProjectVision(m.Queries(features))
	})
}

// EmbedTexts returns unit vectors float32[B, P]. Texts are cut at [MaxTextTokens].
func (b *Bridge) EmbedTexts(ctx context.Context, texts []string) (*adapters.Tensor, error) {
	t, err := b.Tokenize(texts, MaxTextTokens)
	if err != nil {
		return nil, err
	}
	return b.EmbedTokens(ctx, t)
}

// Similarity returns ITC's cosines float32[B, T] of features [B, N, Denc] and
// texts: the maximum over the queries, not divided by the temperature.
func (b *Bridge) Similarity(ctx context.Context, features *adapters.Tensor, texts []string) (*adapters.Tensor, error) {
	images, err := b.EmbedImages(ctx, features)
	if err != nil {
		return nil, err
	}
	embedded, err := b.EmbedTexts(ctx, texts)
	if err != nil {
		return nil, err
	}
	return b.SimilarityOf(images, embedded)
}

// SimilarityOf returns ITC's cosines float32[B, T] of the results of [Bridge.EmbedImages],
// float32[B, Q, P], and of [Bridge.EmbedTexts], float32[T, P].
func (b *Bridge) SimilarityOf(images, texts *adapters.Tensor) (*adapters.Tensor, error) {
	out, err := b.run("similarity", func(_ *qformer.Model, in []*Node) []*Node {
		return []*Node{qformer.Similarity(in[0], in[1])}
	}, images, texts)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// Match returns ITM's logits float32[B, 2] for pairs of features [B, N, Denc]
// and texts; index 1 is "yes".
func (b *Bridge) Match(ctx context.Context, features *adapters.Tensor, texts []string) (*adapters.Tensor, error) {
	t, err := b.Tokenize(texts, MaxTextTokens)
	if err != nil {
		return nil, err
	}
	ids, n, size := t.ids, len(texts), bucket(len(texts))
	out, err := b.run("match", func(m *qformer.Model, in []*Node) []*Node {
		return []*Node{m.Match(m.ImageKV(in[0]), in[1], b.visible(in[1]))}
	}, padRows(features, size), padRows(ids, size))
	if err != nil {
		return nil, err
	}
	b.forwards.Add(int64(n))
	return out[0].Slice(0, n), nil
}
