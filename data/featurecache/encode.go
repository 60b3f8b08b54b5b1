package featurecache

import (
	"context"
	"errors"
	"syscall"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

// encodeFunc returns the features of pictures uint8[B, H, W, 3].
type encodeFunc func(ctx context.Context, images *adapters.Tensor) (*adapters.Tensor, error)

// encode reads the pictures of rows and encodes them. If pictures cannot be read, or if the
// encoder refuses some of them, the error is a [data.PictureErrors] with all of these.
func encode(ctx context.Context, pictures Pictures, rows []int, run encodeFunc) (*adapters.Tensor, error) {
	images := make([]*adapters.Tensor, len(rows))
	var bad data.PictureErrors
	for i, row := range rows {
		var err error
		if images[i], err = pictures.Image(row); err != nil {
			if !ofPicture(err) {
				return nil, err
			}
			bad = append(bad, &data.PictureError{Row: row, Err: err})
		}
	}
	if len(bad) > 0 {
		return nil, bad.Once()
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

// ofPicture reports whether reading a picture failed because of the picture. The process may
// lack files or memory instead.
func ofPicture(err error) bool {
	for _, ours := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, context.Canceled} {
		if errors.Is(err, ours) {
			return false
		}
	}
	return true
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
