package featurecache

import (
	"context"
	"runtime"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

// encodeFunc returns the features of pictures uint8[B, H, W, 3].
type encodeFunc func(ctx context.Context, images *adapters.Tensor) (*adapters.Tensor, error)

// encode reads the pictures of rows and encodes them. If pictures cannot be read, or if the
// encoder refuses some of them, the error is a [data.PictureErrors] with all of these.
func encode(ctx context.Context, image func(i int) (*adapters.Tensor, error), rows []int, run encodeFunc) (*adapters.Tensor, error) {
	images, err := readImages(ctx, image, rows)
	if err != nil {
		return nil, err
	}
	stacked, err := data.Stack(images)
	if err != nil {
		return nil, err
	}
	features, err := run(ctx, stacked)
	if err != nil && refused(err) {
		return nil, blame(ctx, images, rows, run, err)
	}
	return features, err
}

// readImages reads the pictures of rows, several at once. If pictures cannot be read, the error
// is a [data.PictureErrors] with all of them.
func readImages(ctx context.Context, image func(i int) (*adapters.Tensor, error), rows []int) ([]*adapters.Tensor, error) {
	images, errs := make([]*adapters.Tensor, len(rows)), make([]error, len(rows))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(rows)) {
		workers.Go(func() {
			for i := range next {
				if errs[i] = ctx.Err(); errs[i] == nil {
					images[i], errs[i] = image(rows[i])
				}
			}
		})
	}
	for i := range rows {
		next <- i
	}
	close(next)
	workers.Wait()
	var bad data.PictureErrors
	for i, err := range errs {
		switch {
		case err == nil:
		case data.OfProcess(err):
			return nil, err
		default:
			bad = append(bad, &data.PictureError{Row: rows[i], Err: err})
		}
	}
	if len(bad) > 0 {
		return nil, bad.Once()
	}
	return images, nil
}

// refused reports whether an encoder's error may be about a picture.
func refused(err error) bool {
	kind := adapters.KindOf(err)
	return kind == adapters.Invalid || kind == adapters.Corrupt
}

// blame encodes each picture alone and returns a [data.PictureErrors] of those that the
// encoder refuses. If it refuses none alone, or fails otherwise, blame returns that error.
func blame(ctx context.Context, images []*adapters.Tensor, rows []int, run encodeFunc, cause error) error {
	var bad data.PictureErrors
	for i, row := range rows {
		one, err := data.Stack(images[i : i+1])
		if err == nil {
			_, err = run(ctx, one)
		}
		if err != nil && !refused(err) {
			return err
		}
		if err != nil {
			bad = append(bad, &data.PictureError{Row: row, Err: err})
		}
	}
	if len(bad) == 0 {
		return cause
	}
	return bad.Once()
}
