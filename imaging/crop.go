package imaging

import (
	"image"
	"math"

	"github.com/modular-bridging/bridge/adapters"
)

// RandomCrop is torchvision's RandomResizedCrop, followed by RandomHorizontalFlip: a part of
// the picture with a random size and aspect is resized to the size that is wanted.
type RandomCrop struct {
	Scale [2]float64 // the least and the largest area of the part, of that of the picture
	Ratio [2]float64 // the least and the largest width of the part, in heights
	Flip  float64    // probability
}

// BLIP2Crop returns the augmentation that BLIP-2 was trained with (LAVIS's
// blip2_image_train, with torchvision's default aspects).
func BLIP2Crop() RandomCrop {
	return RandomCrop{Scale: [2]float64{0.5, 1}, Ratio: [2]float64{3.0 / 4, 4.0 / 3}, Flip: 0.5}
}

// Draws gives random numbers.
type Draws interface {
	// Uniform returns a number from low to high.
	Uniform(low, high float64) float64
	// IntN returns a number below n, from 0.
	IntN(n int) int
}

// Choose draws a part of a picture of w by h pixels, and whether it is flipped. It asks for the
// same numbers in the same order as torchvision does, and computes the same from them, in
// float32 where torchvision does.
func (c RandomCrop) Choose(d Draws, w, h int) (part image.Rectangle, flip bool) {
	part = c.part(d, w, h)
	return part, d.Uniform(0, 1) < c.Flip
}

// part follows get_params of torchvision's RandomResizedCrop.
func (c RandomCrop) part(d Draws, w, h int) image.Rectangle {
	const tries = 10
	low, high := float32(math.Log(c.Ratio[0])), float32(math.Log(c.Ratio[1]))
	for range tries {
		area := float64(w*h) * d.Uniform(c.Scale[0], c.Scale[1])
		aspect := float64(float32(math.Exp(d.Uniform(float64(low), float64(high)))))
		pw, ph := int(math.RoundToEven(math.Sqrt(area*aspect))), int(math.RoundToEven(math.Sqrt(area/aspect)))
		if pw > 0 && pw <= w && ph > 0 && ph <= h {
			top := d.IntN(h - ph + 1)
			left := d.IntN(w - pw + 1)
			return image.Rect(left, top, left+pw, top+ph)
		}
	}
	pw, ph := w, h // the largest part in the middle with an aspect that is allowed
	switch ratio := float64(w) / float64(h); {
	case ratio < c.Ratio[0]:
		ph = int(math.RoundToEven(float64(pw) / c.Ratio[0]))
	case ratio > c.Ratio[1]:
		pw = int(math.RoundToEven(float64(ph) * c.Ratio[1]))
	}
	left, top := (w-pw)/2, (h-ph)/2
	return image.Rect(left, top, left+pw, top+ph)
}

// Crop returns a part of a picture at the size of an encoder's spec, uint8[Height, Width, 3],
// resampled as the spec says. No pixel outside the part is used. If flip is set, left and right
// change places.
func Crop(img *RGB, part image.Rectangle, flip bool, spec adapters.ImageSpec) ([]uint8, error) {
	if part.Empty() || !part.In(image.Rect(0, 0, img.Width, img.Height)) {
		return nil, adapters.Errorf(adapters.Invalid, "crop %v out of an image of %d by %d pixels", part, img.Width, img.Height)
	}
	cut := newRGB(part.Dx(), part.Dy())
	for y := range cut.Height {
		copy(cut.Pix[3*y*cut.Width:][:3*cut.Width], img.Pix[3*((part.Min.Y+y)*img.Width+part.Min.X):])
	}
	out, err := Resize(cut, spec.Width, spec.Height, spec.Resample)
	if err != nil {
		return nil, err
	}
	if flip {
		out = out.turned(2)
	}
	return out.Pix, nil
}
