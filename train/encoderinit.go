package train

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/affine"
)

// EncoderInit says where the keys and values of cross-attention come from if the
// encoder is not the one that the bridge was trained for.
type EncoderInit string

// The ways to initialise cross-attention after a swap of the encoder.
const (
	// EncoderFresh is random.
	EncoderFresh EncoderInit = "fresh"
	// EncoderLeastSquares takes the old keys and values, behind a least-squares map
	// from the new encoder's features to the old one's.
	EncoderLeastSquares EncoderInit = "least-squares"
)

// FoldEncoder initialises to's cross-attention from from's: it fits the map from the
// new encoder's features [B, N, D] to the old one's on the same pictures, position by
// position, and folds the map into the keys and values.
func FoldEncoder(from, to *bridge.Bridge, old, new *adapters.Tensor, seed uint64) (TransferStats, error) {
	positions, err := matchPositions(old.Shape[1], new.Shape[1])
	if err != nil {
		return TransferStats{}, err
	}
	oldRows, err := from.NormFeatures(old)
	if err != nil {
		return TransferStats{}, err
	}
	newRows, err := to.NormFeatures(new)
	if err != nil {
		return TransferStats{}, err
	}
	n := newRows.RawMatrix().Rows
	matched := mat.NewDense(n, oldRows.RawMatrix().Cols, nil)
	for picture := range new.Shape[0] {
		for i, position := range positions {
			matched.SetRow(picture*len(positions)+i, oldRows.RawRowView(picture*old.Shape[1]+position))
		}
	}
	f, err := affine.Ridge(newRows, matched, seed)
	if err != nil {
		return TransferStats{}, err
	}
	return TransferStats{Rows: n, R2: f.R2, Ridge: f.Ridge}, to.FoldEncoder(from, f.Map)
}

// matchPositions returns, for each of an encoder's n feature tokens, the position of
// the token of another encoder with m tokens that sees the same part of a picture: the
// class token for the class token, and for a patch the patch around its middle.
func matchPositions(m, n int) ([]int, error) {
	oldSide, oldClass, ok := grid(m)
	newSide, newClass, ok2 := grid(n)
	if !ok || !ok2 || newClass && !oldClass {
		return nil, adapters.Errorf(adapters.Unsupported,
			"%d and %d feature tokens cannot be matched, want square grids, with a class token in both or none in the new", m, n)
	}
	var positions []int
	first := 0
	if oldClass {
		first = 1
	}
	if newClass {
		positions = append(positions, 0)
	}
	at := func(i int) int { return (2*i + 1) * oldSide / (2 * newSide) }
	for row := range newSide {
		for column := range newSide {
			positions = append(positions, first+at(row)*oldSide+at(column))
		}
	}
	return positions, nil
}

// grid returns the side of the square of patches that a number of tokens makes up, and
// whether a class token stands in front of them.
func grid(tokens int) (side int, class, ok bool) {
	for _, extra := range []int{1, 0} {
		side = int(math.Round(math.Sqrt(float64(tokens - extra))))
		if side > 0 && side*side == tokens-extra {
			return side, extra == 1, true
		}
	}
	return 0, false, false
}
