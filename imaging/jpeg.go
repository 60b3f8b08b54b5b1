package imaging

import (
	"errors"
	"image"
	"io"

	"github.com/modular-bridging/bridge/internal/jpegfile"
)

func jpegConfig(r io.Reader) (image.Config, error) {
	h, err := readJPEGHeader(r)
	return image.Config{Width: h.Width, Height: h.Height}, err
}

// readJPEGHeader reads a file in growing steps up to its first scan.
func readJPEGHeader(r io.Reader) (jpegfile.Header, error) {
	var data []byte
	for step := int64(4 << 10); ; step *= 4 {
		more, err := io.ReadAll(io.LimitReader(r, step))
		if err != nil {
			return jpegfile.Header{}, err
		}
		data = append(data, more...)
		h, err := jpegfile.ReadHeader(data)
		if !errors.Is(err, io.ErrUnexpectedEOF) || int64(len(more)) < step {
			return h, err
		}
	}
}

func decodeJPEG(data []byte) (*RGB, error) {
	picture, err := jpegfile.Decode(data)
	if err != nil {
		return nil, err
	}
	return jpegColours(picture), nil
}

// jpegColours turns the planes of a file into RGB. Files of four components hold inverted
// inks, as Adobe's programs write them and Pillow takes for granted.
func jpegColours(p *jpegfile.Picture) *RGB {
	planes := make([][]uint8, len(p.Planes))
	for i, plane := range p.Planes {
		planes[i] = jpegChroma.full(samples{pix: plane.Pix, stride: plane.Stride, w: plane.Width, h: plane.Height,
			sx: plane.ScaleX, sy: plane.ScaleY}, p.Width, p.Height)
	}
	same := func(x, y, z int) (r, g, b uint8) { return uint8(x), uint8(y), uint8(z) }
	switch p.Space {
	case jpegfile.Grey:
		return merge(p.Width, p.Height, [3][]uint8{planes[0], planes[0], planes[0]}, same)
	case jpegfile.RGB:
		return merge(p.Width, p.Height, [3][]uint8(planes), same)
	case jpegfile.YCbCr:
		return merge(p.Width, p.Height, [3][]uint8(planes), jpegColour)
	}
	stored := same
	if p.Space == jpegfile.YCCK {
		stored = func(x, y, z int) (c, m, k uint8) {
			r, g, b := jpegColour(x, y, z)
			return 255 - r, 255 - g, 255 - b
		}
	}
	out := merge(p.Width, p.Height, [3][]uint8(planes[:3]), stored)
	for i, v := range out.Pix {
		out.Pix[i] = ink(255-v, 255-planes[3][i/3])
	}
	return out
}
