package imaging

import "image"

// A lossy file stores colour at a lower resolution than brightness. Go's
// decoders leave it so, and image/color repeats the samples; libjpeg-turbo and
// libwebp, which Pillow uses, interpolate ("fancy upsampling"), and a WebP's
// numbers are BT.601's video range. This file does as they do.

// rounding has the values that are added before dividing, for the first and the second of
// the two pixels that share a sample.
type rounding [2]int

// chroma brings one plane of colour samples to full resolution: every pixel is
// three parts its own sample and one part the neighbour it lies next to, in each
// direction in which the plane is halved.
type chroma struct {
	narrowest  int      // fewer samples than these in a row are repeated
	both       rounding // halved in both directions
	horizontal rounding
	vertical   rounding
}

// samples is one plane of an image: uint8[h, stride], of which each row has w samples. A
// sample stands for sx by sy pixels.
type samples struct {
	pix    []uint8
	stride int
	w, h   int
	sx, sy int
}

// full returns a plane at the size of its image, uint8[h, w].
func (c chroma) full(s samples, w, h int) []uint8 {
	// libjpeg-turbo repeats samples if it has no filter: for more than two pixels a sample.
	fancyX := s.sx == 2 && s.sy <= 2 && s.w >= c.narrowest
	fancyY := s.sy == 2 && (s.sx == 1 || fancyX)
	out := make([]uint8, w*h)
	sums := make([]int, s.w)
	for y := range h {
		near := s.pix[y/s.sy*s.stride:][:s.w]
		far := s.pix[neighbour(y, s.sy, s.h)*s.stride:][:s.w]
		for x := range sums {
			sums[x] = int(near[x])
			if fancyY {
				sums[x] = 3*sums[x] + int(far[x])
			}
		}
		row := out[y*w:][:w]
		for x := range row {
			sum, n := sums[x/s.sx], 0
			switch {
			case fancyX && fancyY:
				sum, n = 3*sum+sums[neighbour(x, 2, s.w)]+c.both[x%2], 4
			case fancyX:
				sum, n = 3*sum+sums[neighbour(x, 2, s.w)]+c.horizontal[x%2], 2
			case fancyY:
				sum, n = sum+c.vertical[y%2], 2
			}
			row[x] = uint8(sum >> n)
		}
	}
	return out
}

// neighbour returns the sample on a pixel's other side: the one before for the
// first pixel of a sample, the one after for the second. There are n samples.
func neighbour(pixel, step, n int) int {
	if pixel%step == 0 {
		return max(0, pixel/step-1)
	}
	return min(n-1, pixel/step+1)
}

// subsampling returns the pixels per sample in each direction.
func subsampling(ratio image.YCbCrSubsampleRatio) (x, y int) {
	switch ratio {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}

// planes returns the three planes of an image at its size. The first one is as it is.
func (c chroma) planes(img *image.YCbCr) (planes [3][]uint8) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	sx, sy := subsampling(img.SubsampleRatio)
	planes[0] = c.full(samples{pix: img.Y, stride: img.YStride, w: w, h: h, sx: 1, sy: 1}, w, h)
	for i, plane := range [][]uint8{img.Cb, img.Cr} {
		planes[1+i] = c.full(samples{pix: plane, stride: img.CStride, w: (w + sx - 1) / sx, h: (h + sy - 1) / sy, sx: sx, sy: sy}, w, h)
	}
	return planes
}

// jpegChroma follows libjpeg-turbo's jdsample.c.
var jpegChroma = chroma{narrowest: 3, both: rounding{8, 7}, horizontal: rounding{1, 2}, vertical: rounding{1, 2}}

// jpegRGB turns a decoded JPEG into RGB.
func jpegRGB(img *image.YCbCr) *RGB {
	return merge(img.Rect.Dx(), img.Rect.Dy(), jpegChroma.planes(img), jpegColour)
}

// jpegColour follows libjpeg-turbo's jdcolor.c. Its weights have 16 fraction bits.
func jpegColour(y, cb, cr int) (r, g, b uint8) {
	const half = 1 << 15
	cb, cr = cb-128, cr-128
	return clamp(y + (91881*cr+half)>>16), clamp(y + (half-22554*cb-46802*cr)>>16), clamp(y + (116130*cb+half)>>16)
}

// webpChroma and webpColour follow libwebp's upsampling.c and yuv.h.
var webpChroma = chroma{narrowest: 1, both: rounding{8, 8}, horizontal: rounding{2, 2}, vertical: rounding{2, 2}}

func webpRGB(img *image.YCbCr) *RGB {
	return merge(img.Rect.Dx(), img.Rect.Dy(), webpChroma.planes(img), webpColour)
}

func webpColour(y, u, v int) (r, g, b uint8) {
	y = y * 19077 >> 8
	return clamp((y + v*26149>>8 - 14234) >> 6),
		clamp((y - u*6419>>8 - v*13320>>8 + 8708) >> 6),
		clamp((y + u*33050>>8 - 17685) >> 6)
}

// merge makes an image of three planes at its size.
func merge(w, h int, planes [3][]uint8, colour func(x, y, z int) (r, g, b uint8)) *RGB {
	out := newRGB(w, h)
	for i, a := range planes[0] {
		out.Pix[3*i], out.Pix[3*i+1], out.Pix[3*i+2] = colour(int(a), int(planes[1][i]), int(planes[2][i]))
	}
	return out
}

func clamp(v int) uint8 { return uint8(max(0, min(255, v))) }
