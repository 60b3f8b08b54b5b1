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
	both       rounding // halved in both directions
	horizontal rounding
	vertical   rounding
}

// full returns a plane of an image, uint8[H, W].
func (c chroma) full(img *image.YCbCr, plane []uint8) []uint8 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	sx, sy := subsampling(img.SubsampleRatio)
	cw, ch := (w+sx-1)/sx, (h+sy-1)/sy
	// libjpeg-turbo repeats samples if it has no filter (for a quarter of the width) and
	// in very narrow images.
	fancyX, fancyY := sx == 2 && cw > 2, sy == 2
	if sx == 4 || sx == 2 && !fancyX {
		fancyY = false
	}
	out := make([]uint8, w*h)
	sums := make([]int, cw)
	for y := range h {
		near := plane[y/sy*img.CStride:][:cw]
		far := plane[neighbour(y, sy, ch)*img.CStride:][:cw]
		for x := range sums {
			sums[x] = int(near[x])
			if fancyY {
				sums[x] = 3*sums[x] + int(far[x])
			}
		}
		row := out[y*w:][:w]
		for x := range row {
			sum, n := sums[x/sx], 0
			switch {
			case fancyX && fancyY:
				sum, n = 3*sum+sums[neighbour(x, 2, cw)]+c.both[x%2], 4
			case fancyX:
				sum, n = 3*sum+sums[neighbour(x, 2, cw)]+c.horizontal[x%2], 2
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

// lossy turns a decoded image into RGB with the given upsampling and colours.
func lossy(img *image.YCbCr, c chroma, colour func(y, cb, cr int) (r, g, b uint8)) *RGB {
	out := newRGB(img.Rect.Dx(), img.Rect.Dy())
	cb, cr := c.full(img, img.Cb), c.full(img, img.Cr)
	for i := range cb {
		luma := img.Y[i/out.Width*img.YStride+i%out.Width]
		out.Pix[3*i], out.Pix[3*i+1], out.Pix[3*i+2] = colour(int(luma), int(cb[i]), int(cr[i]))
	}
	return out
}

// jpegRGB follows libjpeg-turbo's jdsample.c and jdcolor.c.
func jpegRGB(img *image.YCbCr) *RGB {
	c := chroma{both: rounding{8, 7}, horizontal: rounding{1, 2}, vertical: rounding{1, 2}}
	return lossy(img, c, func(y, cb, cr int) (r, g, b uint8) {
		const half = 1 << 15 // the weights have 16 bits
		cb, cr = cb-128, cr-128
		return clamp(y + (91881*cr+half)>>16), clamp(y + (half-22554*cb-46802*cr)>>16), clamp(y + (116130*cb+half)>>16)
	})
}

// webpRGB follows libwebp's upsampling.c and yuv.h.
func webpRGB(img *image.YCbCr) *RGB {
	c := chroma{both: rounding{8, 8}, horizontal: rounding{2, 2}, vertical: rounding{2, 2}}
	return lossy(img, c, func(y, u, v int) (r, g, b uint8) {
		y = y * 19077 >> 8
		return clamp((y + v*26149>>8 - 14234) >> 6),
			clamp((y - u*6419>>8 - v*13320>>8 + 8708) >> 6),
			clamp((y + u*33050>>8 - 17685) >> 6)
	})
}

func clamp(v int) uint8 { return uint8(max(0, min(255, v))) }
