package lm

import (
	"context"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/tokenizer"
)

// EmbedTokens returns token embeddings, in the space of the soft prompts.
func (m *Model) EmbedTokens(ctx context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	if err := m.acquire(ctx); err != nil {
		return nil, err
	}
	defer m.release()
	table, err := m.embeddings()
	if err != nil {
		return nil, err
	}
	surfaces := m.c.Tokenizer.Surfaces()
	res := &adapters.EmbedTokensResponse{}
	var ids []int32
	if len(req.Texts) == 0 {
		for id, s := range surfaces[:min(len(surfaces), m.c.Spec.Vocabulary)] {
			if s != "" {
				ids = append(ids, int32(id))
			}
		}
	} else {
		encodings, err := m.tokenizer().EncodeTexts(req.Texts)
		if err != nil {
			return nil, err
		}
		for _, e := range encodings {
			ids = append(ids, e.IDs...)
			res.Counts = append(res.Counts, int32(len(e.IDs)))
		}
	}
	d := m.c.Spec.Width
	res.Embeddings = adapters.NewTensor(adapters.Float32, len(ids), d)
	rows := res.Embeddings.Float32s()
	for i, id := range ids {
		copy(rows[i*d:(i+1)*d], table[int(id)*d:])
		res.Surfaces = append(res.Surfaces, surfaces[id])
	}
	return res, nil
}

// CountTokens returns how many tokens each text takes, without special tokens.
func (m *Model) CountTokens(ctx context.Context, texts []string) ([]int32, error) {
	if err := ctx.Err(); err != nil {
		return nil, canceled(err)
	}
	encodings, err := m.tokenizer().EncodeTexts(texts)
	if err != nil {
		return nil, err
	}
	return tokenizer.Counts(encodings), nil
}

// toFloat32 copies a float tensor to float32 on the host.
func toFloat32(t *tensors.Tensor) ([]float32, error) {
	if t.DType() != dtypes.Float32 && t.DType() != dtypes.BFloat16 {
		return nil, adapters.Errorf(adapters.Internal, "tensor of %s, want float32 or bfloat16", t.DType())
	}
	host, err := hosttensor.Copy(t)
	if err != nil {
		return nil, adapters.Errorf(adapters.Internal, "copy to the host: %w", err)
	}
	return host.ToFloat32()
}
