package featurecache

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
)

// Features gives the frozen encoder's output for records of a data set:
// [len(indices), N, Denc], float32 or bfloat16. The error for pictures that cannot be used
// is a [data.PictureErrors], with rows of the data set. [Cache] implements Features.
type Features interface {
	Features(ctx context.Context, indices []int) (*adapters.Tensor, error)
}

// Prefetcher computes features ahead of their use. [Cache] implements it; other
// [Features] need not. Errors are those of [Features].
type Prefetcher interface {
	Prefetch(ctx context.Context, indices []int) error
}

var (
	_ Features   = (*Cache)(nil)
	_ Prefetcher = (*Cache)(nil)
)
