package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

// Captioned returns the examples of a set that have a caption, and how many
// have none: those are of use only where questions are asked.
func Captioned(s Set) (captioned Set, left int) {
	var rows []int
	for i := range s.Data.Len() {
		if len(s.Data.Example(i).Captions) > 0 {
			rows = append(rows, i)
		}
	}
	if left = s.Data.Len() - len(rows); left == 0 {
		return s, 0
	}
	return Set{Data: subset{s.Data, rows}, Features: subsetFeatures{s.Features, rows}}, left
}

// subset is some examples of a data set.
type subset struct {
	data.Dataset
	rows []int
}

var _ data.Dataset = subset{}

func (s subset) Len() int                     { return len(s.rows) }
func (s subset) Example(i int) data.Example   { return s.Dataset.Example(s.rows[i]) }
func (s subset) Image(i int) ([]uint8, error) { return s.Dataset.Image(s.rows[i]) }

func (s subset) Digest() string {
	sum := sha256.New()
	fmt.Fprintln(sum, s.Dataset.Digest(), s.rows)
	return hex.EncodeToString(sum.Sum(nil))
}

// subsetFeatures is the features of a subset.
type subsetFeatures struct {
	all  Features
	rows []int
}

func (s subsetFeatures) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	return s.all.Features(ctx, s.whole(indices))
}

// Fill computes features ahead where the set's can.
func (s subsetFeatures) Fill(ctx context.Context, indices []int) error {
	if f, ok := s.all.(Filler); ok {
		return f.Fill(ctx, s.whole(indices))
	}
	return nil
}

func (s subsetFeatures) whole(indices []int) []int {
	rows := make([]int, len(indices))
	for i, index := range indices {
		rows[i] = s.rows[index]
	}
	return rows
}
