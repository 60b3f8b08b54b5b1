package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
)

// WithCaptions returns the records of a set that have a caption, and the number of
// records that have none: only a plan that asks questions can use those. A [data.Lazy] set is
// returned as it is: its records without captions are left out when they are drawn.
func WithCaptions(s Set) (captioned Set, without int) {
	var rows []int
	if _, lazy := s.Data.(data.Lazy); lazy {
		return s, 0
	}
	for i := range s.Data.Len() {
		if record, _ := s.Data.Record(i); len(record.Captions) > 0 { // fails in a lazy data set only
			rows = append(rows, i)
		}
	}
	if without = s.Data.Len() - len(rows); without == 0 {
		return s, 0
	}
	return Set{Data: subset{s.Data, rows}, Features: subsetFeatures{s.Features, rows}, LeftOut: s.LeftOut}, without
}

// subset is a data set of some records of another.
type subset struct {
	data.Dataset
	rows []int
}

var (
	_ data.Dataset  = subset{}
	_ data.Contents = subset{}
)

func (s subset) Len() int                              { return len(s.rows) }
func (s subset) Record(i int) (data.Record, error)     { return s.Dataset.Record(s.rows[i]) }
func (s subset) Image(i int) (*adapters.Tensor, error) { return s.Dataset.Image(s.rows[i]) }

// Crop implements [data.Croppable] if the whole set does.
func (s subset) Crop(i int, choose func(w, h int) (image.Rectangle, bool)) (*adapters.Tensor, error) {
	whole, ok := s.Dataset.(data.Croppable)
	if !ok {
		return nil, adapters.Errorf(adapters.Unsupported, "the pictures of %s cannot be cropped", s.Name())
	}
	return whole.Crop(s.rows[i], choose)
}

func (s subset) Digest() string        { return s.digest(s.Dataset.Digest()) }
func (s subset) ContentDigest() string { return s.digest(data.ContentDigest(s.Dataset)) }
func (s subset) OldDigest() string     { return s.digest(data.OldDigest(s.Dataset)) }

// digest returns the digest of the subset of a whole set with a digest.
func (s subset) digest(whole string) string {
	sum := sha256.New()
	fmt.Fprintln(sum, whole, s.rows)
	return hex.EncodeToString(sum.Sum(nil))
}

// subsetFeatures are the features of a subset.
type subsetFeatures struct {
	all  featurecache.Features
	rows []int
}

func (s subsetFeatures) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	t, err := s.all.Features(ctx, s.rowsInSet(indices))
	return t, s.inSubset(err)
}

// Prefetch implements [Prefetcher]. It does nothing if the whole set's features cannot
// be computed ahead.
func (s subsetFeatures) Prefetch(ctx context.Context, indices []int) error {
	if f, ok := s.all.(featurecache.Prefetcher); ok {
		return s.inSubset(f.Prefetch(ctx, s.rowsInSet(indices)))
	}
	return nil
}

// Augmented implements [featurecache.Live] if the whole set's features do.
func (s subsetFeatures) Augmented(ctx context.Context, indices []int, a data.Augmentation, seed uint64) (*adapters.Tensor, error) {
	live, ok := s.all.(featurecache.Live)
	if !ok {
		return nil, notLive(a)
	}
	t, err := live.Augmented(ctx, s.rowsInSet(indices), a, seed)
	return t, s.inSubset(err)
}

// inSubset returns err with the rows of pictures as those of the subset.
func (s subsetFeatures) inSubset(err error) error {
	var bad data.PictureErrors
	if !errors.As(err, &bad) {
		return err
	}
	translated := make(data.PictureErrors, len(bad))
	for i, p := range bad {
		row, _ := slices.BinarySearch(s.rows, p.Row)
		translated[i] = &data.PictureError{Picture: p.Picture, Row: row, Err: p.Err}
	}
	return translated
}

// rowsInSet returns the rows of the whole set at indices of the subset.
func (s subsetFeatures) rowsInSet(indices []int) []int {
	rows := make([]int, len(indices))
	for i, index := range indices {
		rows[i] = s.rows[index]
	}
	return rows
}
