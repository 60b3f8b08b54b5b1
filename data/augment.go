package data

import (
	"image"
	"math/rand/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/imaging"
)

// Augmentation changes pictures at random. The change of a picture depends only on the seed of
// the step and on the picture, so a resumed run sees the same pixels.
type Augmentation string

// The augmentations.
const (
	NoAugmentation Augmentation = ""
	// AugmentBLIP2 takes a random part with 0.5 to 1 of the area, resized to the encoder's size,
	// and flips half of the pictures ([imaging.BLIP2Crop]). The encoder's own resizing and
	// cropping do not take place.
	AugmentBLIP2 Augmentation = "blip2"
)

// Croppable is a data set whose pictures can be augmented. All data sets of this package are.
type Croppable interface {
	// Crop returns a part of picture i, as [Dataset.Image] numbers and sizes it. choose is
	// called with the picture's own size.
	Crop(i int, choose func(w, h int) (part image.Rectangle, flip bool)) (*adapters.Tensor, error)
}

var (
	_ Croppable = (*kitSet)(nil)
	_ Croppable = (*fileSet)(nil)
	_ Croppable = (*Sources)(nil)
)

// Image returns picture i of a data set as the augmentation changes it in a step with a seed.
func (a Augmentation) Image(d interface {
	Image(i int) (*adapters.Tensor, error)
}, i int, seed uint64,
) (*adapters.Tensor, error) {
	if a == NoAugmentation {
		return d.Image(i)
	}
	c, ok := d.(Croppable)
	if !ok || a != AugmentBLIP2 {
		return nil, adapters.Errorf(adapters.Unsupported, "the data set's pictures cannot be augmented by %q", string(a)).
			WithRemedy("train without augmentation")
	}
	draws := cropDraws{rand.New(rand.NewPCG(seed, mix(uint64(i))))}
	return c.Crop(i, func(w, h int) (image.Rectangle, bool) { return imaging.BLIP2Crop().Choose(draws, w, h) })
}

// cropDraws draws numbers in float32, as torch does.
type cropDraws struct{ rng *rand.Rand }

func (d cropDraws) Uniform(low, high float64) float64 {
	return float64(d.rng.Float32()*float32(high-low) + float32(low))
}

func (d cropDraws) IntN(n int) int { return d.rng.IntN(n) }

// crop returns a part of a picture at the size of a spec.
func crop(img *imaging.RGB, spec adapters.ImageSpec, choose func(w, h int) (image.Rectangle, bool)) (*adapters.Tensor, error) {
	part, flip := choose(img.Width, img.Height)
	pixels, err := imaging.Crop(img, part, flip, spec)
	if err != nil {
		return nil, err
	}
	return adapters.FromUint8(pixels, spec.Height, spec.Width, 3), nil
}

// Crop implements [Croppable].
func (k *kitSet) Crop(i int, choose func(w, h int) (image.Rectangle, bool)) (*adapters.Tensor, error) {
	return crop(imaging.ToRGB(k.Picture(i)), k.spec, choose)
}

// Crop implements [Croppable].
func (s *fileSet) Crop(i int, choose func(w, h int) (image.Rectangle, bool)) (*adapters.Tensor, error) {
	img, err := s.reader.decode(s.paths[i])
	if err != nil {
		return nil, err
	}
	return crop(imaging.ToRGB(img), s.reader.Spec, choose)
}

// Crop implements [Croppable].
func (s *Sources) Crop(i int, choose func(w, h int) (image.Rectangle, bool)) (*adapters.Tensor, error) {
	img, err := s.decode(i)
	if err != nil {
		return nil, err
	}
	out, err := crop(img, s.reader.Spec, choose)
	if err != nil {
		return nil, s.badPicture(i, err)
	}
	return out, nil
}
