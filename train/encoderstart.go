package train

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/affine"
)

// EncoderStart says where the keys and values of cross-attention come from when
// the encoder is another one than the bridge was trained for.
type EncoderStart string

// The starts after a swap of the encoder.
const (
	EncoderFresh        EncoderStart = "fresh"         // random
	EncoderLeastSquares EncoderStart = "least-squares" // the old ones behind a map between the encoders' features
)

// FoldEncoder starts to's cross-attention from from's: it fits the map from the
// new encoder's features [B, N, D] to the old one's on the same pictures,
// position by position, and folds it into the keys and values.
func FoldEncoder(from, to *bridge.Bridge, old, new *adapters.Tensor, seed uint64) (affine.Fit, error) {
	places, err := matchPlaces(old.Shape[1], new.Shape[1])
	if err != nil {
		return affine.Fit{}, err
	}
	was, err := from.NormFeatures(old)
	if err != nil {
		return affine.Fit{}, err
	}
	is, err := to.NormFeatures(new)
	if err != nil {
		return affine.Fit{}, err
	}
	matched := mat.NewDense(is.RawMatrix().Rows, was.RawMatrix().Cols, nil)
	for picture := range new.Shape[0] {
		for place, other := range places {
			matched.SetRow(picture*len(places)+place, was.RawRowView(picture*old.Shape[1]+other))
		}
	}
	f, err := affine.Ridge(is, matched, seed)
	if err != nil {
		return affine.Fit{}, err
	}
	return f, to.FoldEncoder(from, f.Map)
}

// matchPlaces returns, for each of an encoder's n feature tokens, the token of
// another with m that looks at the same part of a picture: the class token at
// the class token, a patch at the patch around its middle.
func matchPlaces(m, n int) ([]int, error) {
	oldSide, oldClass, ok := grid(m)
	newSide, newClass, ok2 := grid(n)
	if !ok || !ok2 || newClass && !oldClass {
		return nil, adapters.Errorf(adapters.Unsupported, "feature tokens of %d and %d places cannot be matched, want square grids with a class token in both, or none in the new", m, n)
	}
	var places []int
	first := 0
	if oldClass {
		first = 1
	}
	if newClass {
		places = append(places, 0)
	}
	at := func(i int) int { return (2*i + 1) * oldSide / (2 * newSide) }
	for row := range newSide {
		for column := range newSide {
			places = append(places, first+at(row)*oldSide+at(column))
		}
	}
	return places, nil
}

// grid reads a number of tokens as a square of patches, with or without a class
// token in front.
func grid(tokens int) (side int, class, ok bool) {
	for _, extra := range []int{1, 0} {
		side = int(math.Round(math.Sqrt(float64(tokens - extra))))
		if side > 0 && side*side == tokens-extra {
			return side, extra == 1, true
		}
	}
	return 0, false, false
}
