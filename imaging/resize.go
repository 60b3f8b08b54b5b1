package imaging

import (
	"image"
	"math"

	"github.com/modular-bridging/bridge/adapters"
)

// maxEdge bounds the size of a resized image.
const maxEdge = 1 << 15

// Resize returns an image of w by h pixels, resampled with a filter of
// [adapters.ImageSpec]. It computes rows first, then columns, with 8 bits in between and
// weights of 22 bits, as Pillow's Resample.c does. Pillow 13 computes columns first if an
// image shrinks most in height; the versions that BLIP-2 was trained with never do.
func Resize(img *RGB, w, h int, filter string) (*RGB, error) {
	if w < 1 || h < 1 || w > maxEdge || h > maxEdge {
		return nil, adapters.Errorf(adapters.Invalid, "resize to %d by %d pixels, want 1 to %d", w, h, maxEdge)
	}
	return resizePart(img, w, h, image.Rect(0, 0, w, h), filter)
}

// resizePart returns a part of the image that img becomes at w by h pixels. It computes
// nothing outside the part, so w and h may be of any size.
func resizePart(img *RGB, w, h int, part image.Rectangle, filter string) (*RGB, error) {
	if img.Width < 1 || img.Height < 1 || len(img.Pix) != 3*img.Width*img.Height {
		return nil, adapters.Errorf(adapters.Invalid, "resize an image of %d by %d pixels and %d bytes, want uint8[H, W, 3]", img.Width, img.Height, len(img.Pix))
	}
	var k kernel
	switch filter {
	case adapters.Nearest:
		return nearest(img, w, h, part), nil
	case adapters.Bilinear:
		k = kernel{1, triangle}
	case adapters.Bicubic:
		k = kernel{2, cubic}
	default:
		return nil, adapters.Errorf(adapters.Invalid, "filter %q, want %q, %q or %q", filter, adapters.Nearest, adapters.Bilinear, adapters.Bicubic)
	}
	columns := k.windows(img.Width, w, part.Min.X, part.Max.X)
	rows := k.windows(img.Height, h, part.Min.Y, part.Max.Y)
	first, end := rows[0].first, rows[len(rows)-1].end()
	for i := range rows {
		rows[i].first -= first
	}
	img = &RGB{Pix: img.Pix[3*first*img.Width : 3*end*img.Width], Width: img.Width, Height: end - first}
	return vertical(horizontal(img, columns), rows), nil
}

// kernel is an interpolation function and the distance beyond which it is zero.
type kernel struct {
	support float64
	weight  func(x float64) float64
}

func triangle(x float64) float64 { return max(0, 1-math.Abs(x)) }

func cubic(x float64) float64 {
	const a = -0.5
	switch x = math.Abs(x); {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
}

// weightBits is the fixed-point precision of a weight.
const weightBits = 22

// window holds the input pixels of one output pixel, from first on, with their weights.
type window struct {
	first   int
	weights []int32
}

func (w window) end() int { return w.first + len(w.weights) }

// windows returns the windows of the pixels from lo to hi among the out pixels that
// replace in pixels. If there are as many as before, each pixel stays as it is.
func (k kernel) windows(in, out, lo, hi int) []window {
	windows := make([]window, hi-lo)
	if in == out {
		for i := range windows {
			windows[i] = window{lo + i, []int32{1 << weightBits}}
		}
		return windows
	}
	scale := float64(in) / float64(out)
	stretch := max(1, scale)
	support, shrink := k.support*stretch, 1/stretch
	for i := range windows {
		center := (float64(lo+i) + 0.5) * scale
		first := max(0, int(center-support+0.5))
		last := min(in, int(center+support+0.5))
		raw := make([]float64, last-first)
		sum := 0.0
		for j := range raw {
			raw[j] = k.weight((float64(j+first) - center + 0.5) * shrink)
			sum += raw[j]
		}
		weights := make([]int32, len(raw))
		for j, w := range raw {
			weights[j] = int32(math.Round(w / sum * (1 << weightBits)))
		}
		windows[i] = window{first, weights}
	}
	return windows
}

// horizontal replaces each row's pixels.
func horizontal(img *RGB, windows []window) *RGB {
	out := newRGB(len(windows), img.Height)
	for y := range img.Height {
		row := img.Pix[3*y*img.Width:][:3*img.Width]
		to := out.Pix[3*y*out.Width:][:3*out.Width]
		for x, w := range windows {
			sum := [3]int32{1 << (weightBits - 1), 1 << (weightBits - 1), 1 << (weightBits - 1)}
			for j, weight := range w.weights {
				p := row[3*(w.first+j):][:3]
				sum[0] += int32(p[0]) * weight
				sum[1] += int32(p[1]) * weight
				sum[2] += int32(p[2]) * weight
			}
			to[3*x], to[3*x+1], to[3*x+2] = clip(sum[0]), clip(sum[1]), clip(sum[2])
		}
	}
	return out
}

// vertical replaces each column's pixels.
func vertical(img *RGB, windows []window) *RGB {
	out := newRGB(img.Width, len(windows))
	stride := 3 * img.Width
	sums := make([]int32, stride)
	for y, w := range windows {
		for i := range sums {
			sums[i] = 1 << (weightBits - 1)
		}
		for j, weight := range w.weights {
			for i, p := range img.Pix[(w.first+j)*stride:][:stride] {
				sums[i] += int32(p) * weight
			}
		}
		for i, sum := range sums {
			out.Pix[y*stride+i] = clip(sum)
		}
	}
	return out
}

// clip drops a sum's fraction and keeps it in 0 to 255.
func clip(sum int32) uint8 { return uint8(max(0, min(255, sum>>weightBits))) }

// nearest takes the pixel at each output pixel's centre; the positions are added
// up step by step, as Pillow's Geometry.c does.
func nearest(img *RGB, w, h int, part image.Rectangle) *RGB {
	out := newRGB(part.Dx(), part.Dy())
	columns := positions(img.Width, w, part.Min.X, part.Max.X)
	for y, from := range positions(img.Height, h, part.Min.Y, part.Max.Y) {
		for x, at := range columns {
			copy(out.Pix[3*(y*out.Width+x):][:3], img.Pix[3*(from*img.Width+at):])
		}
	}
	return out
}

// positions returns the input pixels of the output pixels from lo to hi.
func positions(in, out, lo, hi int) []int {
	scale := float64(in) / float64(out)
	at := scale * 0.5
	list := make([]int, 0, hi-lo)
	for i := range hi {
		if i >= lo {
			list = append(list, min(int(at), in-1))
		}
		at += scale
	}
	return list
}
