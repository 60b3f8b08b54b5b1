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
	pictures := make([][]uint8, len(indices))
	for i, index := range indices {
		var err error
		if pictures[i], err = u.Pictures.Image(index); err != nil {
			return nil, err
		}
	}
	resp, err := u.Encoder.Encode(ctx, &adapters.EncodeRequest{Images: data.Stack(pictures, u.Encoder.Spec().Image)})
	if err != nil {
		return nil, err
	}
	return resp.Features, nil
}
