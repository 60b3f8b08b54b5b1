package imaging

import (
	"image"
	"image/color"
)

// RGB is an image without alpha.
type RGB struct {
	Pix           []uint8 // uint8[Height, Width, 3]
	Width, Height int
}

var _ image.Image = (*RGB)(nil)

func newRGB(w, h int) *RGB { return &RGB{Pix: make([]uint8, 3*w*h), Width: w, Height: h} }

// ColorModel implements [image.Image].
func (m *RGB) ColorModel() color.Model { return color.NRGBAModel }

// Bounds implements [image.Image].
func (m *RGB) Bounds() image.Rectangle { return image.Rect(0, 0, m.Width, m.Height) }

// At implements [image.Image]; outside the image there is black.
func (m *RGB) At(x, y int) color.Color {
	if !image.Pt(x, y).In(m.Bounds()) {
		return color.NRGBA{A: 255}
	}
	p := m.Pix[3*(y*m.Width+x):]
	return color.NRGBA{p[0], p[1], p[2], 255}
}

// ToRGB returns the image's colours as Pillow's convert("RGB") does: alpha is
// dropped, so that a transparent pixel shows the colour that its file gives it.
// Sixteen bits become the higher eight; Pillow does so for colours and clips
// greys at 255, which leaves nothing of them, so there it is not followed.
// An image that is an *[RGB] already is returned as it is.
func ToRGB(img image.Image) *RGB {
	if rgb, ok := img.(*RGB); ok {
		return rgb
	}
	if ycc, ok := img.(*image.YCbCr); ok && ycc.Rect.Min == (image.Point{}) {
		return jpegRGB(ycc)
	}
	b := img.Bounds()
	out := newRGB(b.Dx(), b.Dy())
	at := colours(img)
	i := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			out.Pix[i], out.Pix[i+1], out.Pix[i+2] = at(x, y)
			i += 3
		}
	}
	return out
}

// colours returns a function that gives a pixel's colour without its alpha.
func colours(img image.Image) func(x, y int) (r, g, b uint8) {
	switch img := img.(type) {
	case *image.NRGBA:
		return func(x, y int) (r, g, b uint8) {
			p := img.Pix[img.PixOffset(x, y):]
			return p[0], p[1], p[2]
		}
	case *image.Gray16:
		return func(x, y int) (r, g, b uint8) {
			v := img.Pix[img.PixOffset(x, y)]
			return v, v, v
		}
	case *image.CMYK:
		return func(x, y int) (r, g, b uint8) {
			p := img.Pix[img.PixOffset(x, y):]
			return ink(p[0], p[3]), ink(p[1], p[3]), ink(p[2], p[3])
		}
	case *image.Paletted:
		palette := make([][3]uint8, 256)
		for i, c := range img.Palette {
			palette[i][0], palette[i][1], palette[i][2] = straight(c)
		}
		return func(x, y int) (r, g, b uint8) {
			p := palette[img.ColorIndexAt(x, y)]
			return p[0], p[1], p[2]
		}
	}
	return func(x, y int) (r, g, b uint8) { return straight(img.At(x, y)) }
}

// ink mixes one colour and black as Pillow's cmyk2rgb does.
func ink(c, k uint8) uint8 {
	light := 255 - int(k)
	product := int(c)*light + 128
	return uint8(max(0, light-(product>>8+product)>>8))
}

// straight returns a colour with its alpha dropped, not multiplied in.
func straight(c color.Color) (r, g, b uint8) {
	switch c := c.(type) {
	case color.NRGBA:
		return c.R, c.G, c.B
	case color.NRGBA64:
		return uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8)
	case color.RGBA:
		if c.A == 255 {
			return c.R, c.G, c.B
		}
	}
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return n.R, n.G, n.B
}
