package featurecache

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
)

// Uncached encodes pictures each time their features are asked for.
type Uncached struct {
	Encoder  adapters.VisionEncoder
	Pictures Pictures
}

// Features returns [len(indices), N, D] in the encoder's dtype. Its error for pictures that
// cannot be used is a [data.PictureErrors].
func (u Uncached) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	return encode(ctx, u.Pictures, indices, func(ctx context.Context, images *adapters.Tensor) (*adapters.Tensor, error) {
		resp, err := u.Encoder.Encode(ctx, &adapters.EncodeRequest{Images: images})
		if err != nil {
			return nil, err
		}
		return resp.Features, nil
	})
}
