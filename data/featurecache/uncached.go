package featurecache

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

// Uncached encodes pictures each time their features are asked for.
type Uncached struct {
	Encoder  adapters.VisionEncoder
	Pictures Pictures
}

// Features returns [len(indices), N, D] in the encoder's dtype.
func (u Uncached) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	images, err := stack(u.Pictures, indices)
	if err != nil {
		return nil, err
	}
	resp, err := u.Encoder.Encode(ctx, &adapters.EncodeRequest{Images: images})
	if err != nil {
		return nil, err
	}
	return resp.Features, nil
}

// stack returns pictures as uint8[B, H, W, 3].
func stack(pictures Pictures, rows []int) (*adapters.Tensor, error) {
	images := make([]*adapters.Tensor, len(rows))
	for i, row := range rows {
		var err error
		if images[i], err = pictures.Image(row); err != nil {
			return nil, err
		}
	}
	return data.Stack(images)
}
