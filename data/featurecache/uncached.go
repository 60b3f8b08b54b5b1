package featurecache

import (
	"context"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

// Live gives features of pictures that an augmentation changes. [Uncached] implements it; a
// cache cannot.
type Live interface {
	Features
	// Augmented returns the features of pictures as the augmentation changes them in a step with
	// a seed.
	Augmented(ctx context.Context, indices []int, a data.Augmentation, seed uint64) (*adapters.Tensor, error)
}

// Uncached encodes pictures each time their features are asked for. It reads several pictures at
// once; the encoder gets one request at a time. Several goroutines may use it.
type Uncached struct {
	encoder  adapters.VisionEncoder
	pictures Pictures
	mu       sync.Mutex // one request of the encoder at a time
}

var _ Live = (*Uncached)(nil)

// NewUncached returns the features of a data set by an encoder.
func NewUncached(encoder adapters.VisionEncoder, pictures Pictures) *Uncached {
	return &Uncached{encoder: encoder, pictures: pictures}
}

// Features returns [len(indices), N, D] in the encoder's dtype. Its error for pictures that
// cannot be used is a [data.PictureErrors].
func (u *Uncached) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	return u.Augmented(ctx, indices, data.NoAugmentation, 0)
}

// Augmented implements [Live].
func (u *Uncached) Augmented(ctx context.Context, indices []int, a data.Augmentation, seed uint64) (*adapters.Tensor, error) {
	image := func(i int) (*adapters.Tensor, error) { return a.Image(u.pictures, i, seed) }
	return encode(ctx, image, indices, func(ctx context.Context, images *adapters.Tensor) (*adapters.Tensor, error) {
		u.mu.Lock()
		defer u.mu.Unlock()
		resp, err := u.encoder.Encode(ctx, &adapters.EncodeRequest{Images: images})
		if err != nil {
			return nil, err
		}
		return resp.Features, nil
	})
}
