package featurecache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
)

// refusing is an encoder that refuses some pictures with an error.
type refusing struct {
	encoder
	pictures []int
	err      error
}

func (r *refusing) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	for i := range req.Images.Shape[0] {
		pixels := req.Images.Row(i).Data
		if slices.Contains(r.pictures, int(pixels[0])+256*int(pixels[1])) {
			return nil, r.err
		}
	}
	return r.encoder.Encode(ctx, req)
}

// unreadable has pictures whose files cannot be read.
type unreadable struct {
	pictures
	broken []int
	err    error
}

func (u unreadable) Image(i int) (*adapters.Tensor, error) {
	if slices.Contains(u.broken, i) {
		return nil, u.err
	}
	return u.pictures.Image(i)
}

// bothKinds returns features of both kinds, on disk and computed each time.
func bothKinds(t *testing.T, e adapters.VisionEncoder, p featurecache.Pictures) map[string]featurecache.Features {
	t.Helper()
	cache, err := featurecache.Open(t.TempDir(), e, p, featurecache.Options{Batch: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	return map[string]featurecache.Features{"cached": cache, "live": featurecache.NewUncached(e, p)}
}

func rowsOf(t *testing.T, err error) (rows []int) {
	t.Helper()
	var bad data.PictureErrors
	if !errors.As(err, &bad) {
		t.Fatalf("got %v, want the errors of pictures", err)
	}
	for _, b := range bad {
		rows = append(rows, b.Row)
	}
	return rows
}

func TestPicturesThatFailAreNamedTogether(t *testing.T) {
	corrupt := adapters.Errorf(adapters.Corrupt, "cannot be decoded")
	for name, f := range bothKinds(t, &encoder{digest: "a"}, unreadable{pictures{20, "d"}, []int{3, 5, 19}, corrupt}) {
		_, err := f.Features(t.Context(), []int{1, 3, 2, 5, 3})
		if rows := rowsOf(t, err); fmt.Sprint(rows) != "[3 5]" || !errors.Is(err, error(corrupt)) {
			t.Errorf("%s: rows %v (%v), want 3 and 5", name, rows, err)
		}
		if _, err := f.Features(t.Context(), []int{1, 2}); err != nil {
			t.Errorf("%s: the others: %v", name, err)
		}
	}
}

func TestPicturesThatTheEncoderRefusesAreFoundAlone(t *testing.T) {
	for _, kind := range []adapters.Kind{adapters.Invalid, adapters.Corrupt} {
		e := &refusing{encoder{digest: "a"}, []int{2, 7}, adapters.Errorf(kind, "not finite")}
		for name, f := range bothKinds(t, e, pictures{20, "d"}) {
			_, err := f.Features(t.Context(), []int{1, 2, 3, 7})
			if rows := rowsOf(t, err); fmt.Sprint(rows) != "[2 7]" {
				t.Errorf("%s, %s: rows %v (%v), want 2 and 7", name, kind, rows, err)
			}
		}
	}
}

// A dying plugin, a cancelled run or a lack of file handles is no picture's fault.
func TestOtherFailuresBlameNoPicture(t *testing.T) {
	var bad data.PictureErrors
	for _, kind := range []adapters.Kind{adapters.Unavailable, adapters.Canceled, adapters.Exhausted, adapters.Internal, adapters.Unknown} {
		e := &refusing{encoder{digest: "a"}, []int{2}, adapters.Errorf(kind, "it failed")}
		for name, f := range bothKinds(t, e, pictures{20, "d"}) {
			if _, err := f.Features(t.Context(), []int{1, 2}); errors.As(err, &bad) || adapters.KindOf(err) != kind {
				t.Errorf("%s, %s: got %v", name, kind, err)
			}
		}
	}
	for name, f := range bothKinds(t, &encoder{digest: "a"}, unreadable{pictures{9, "d"}, []int{2}, fmt.Errorf("open: %w", syscall.EMFILE)}) {
		if _, err := f.Features(t.Context(), []int{1, 2}); errors.As(err, &bad) || !errors.Is(err, syscall.EMFILE) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// An encoder that refuses a batch and none of its pictures alone has a fault of its own.
func TestABatchThatFailsAsAWholeBlamesNoPicture(t *testing.T) {
	var bad data.PictureErrors
	own := adapters.Errorf(adapters.Invalid, "a batch of two")
	for name, f := range bothKinds(t, &pairHating{encoder{digest: "a"}, own}, pictures{9, "d"}) {
		if _, err := f.Features(t.Context(), []int{1, 2}); errors.As(err, &bad) || !errors.Is(err, error(own)) {
			t.Errorf("%s: got %v, want the encoder's error", name, err)
		}
	}
}

type pairHating struct {
	encoder
	err error
}

func (p *pairHating) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if req.Images.Shape[0] == 2 {
		return nil, p.err
	}
	return p.encoder.Encode(ctx, req)
}
