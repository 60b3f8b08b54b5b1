package imaging

import (
	"encoding/binary"
	"fmt"
	"image"
	"io"
	"math/bits"

	"github.com/modular-bridging/bridge/adapters"
)

// bmpHead is a BMP file up to its pixels.
type bmpHead struct {
	width, height int
	topDown       bool
	depth         int       // bits of a pixel
	masks         [3]uint32 // of red, green and blue; if the pixels are no palette indices
	palette       []byte
	entry         int // bytes of a palette's colour: blue, green, red, and 0 if there are 4
	pixels        int // where they begin
	runs          bool
}

func bmpConfig(r io.Reader) (image.Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, 1<<20)) // more than any head
	if err != nil {
		return image.Config{}, err
	}
	h, err := readBMP(data)
	return image.Config{Width: h.width, Height: h.height}, err
}

// readBMP reads the heads of Windows and OS/2. It takes the layouts that Pillow takes.
func readBMP(data []byte) (h bmpHead, err error) {
	at16 := func(i int) int { return int(binary.LittleEndian.Uint16(data[i:])) }
	at32 := func(i int) uint32 { return binary.LittleEndian.Uint32(data[i:]) }
	if len(data) < 26 {
		return h, io.ErrUnexpectedEOF
	}
	size := int(at32(14))
	compression, colours := uint32(0), uint32(0)
	switch size {
	case 12:
		h.width, h.height, h.depth, h.entry = at16(18), at16(20), at16(24), 3
	case 40, 52, 56, 64, 108, 124:
		if len(data) < 14+size {
			return h, io.ErrUnexpectedEOF
		}
		h.width, h.height = int(int32(at32(18))), int(int32(at32(22)))
		h.depth, h.entry = at16(28), 4
		compression, colours = at32(30), at32(46)
		if h.height < 0 {
			h.height, h.topDown = -h.height, true
		}
	default:
		return h, bmpRefused("a BMP with a head of %d bytes", size)
	}
	h.pixels = int(at32(10))
	if compression == 3 && len(data) < 66 {
		return h, io.ErrUnexpectedEOF
	}
	if err := h.layout(compression, at32); err != nil || h.depth > 8 {
		return h, err
	}
	if colours == 0 {
		colours = 1 << h.depth
	}
	if colours > 256 || len(data) < 14+size+h.entry*int(colours) {
		return h, fmt.Errorf("the palette has %d colours, want at most 256 that are all there", colours)
	}
	h.palette = data[14+size:][:h.entry*int(colours)]
	h.pixels = max(h.pixels, 14+size+len(h.palette))
	return h, nil
}

// layout finds out how a pixel is stored.
func (h *bmpHead) layout(compression uint32, at32 func(int) uint32) error {
	switch h.depth {
	case 1, 4, 8:
	case 16:
		h.masks = [3]uint32{0x7c00, 0x3e0, 0x1f}
	case 24, 32:
		h.masks = [3]uint32{0xff0000, 0xff00, 0xff}
	default:
		return bmpRefused("a BMP of %d bits", h.depth)
	}
	switch compression {
	case 0:
		return nil
	case 1, 2:
		if h.depth != 8/int(compression) {
			return bmpRefused("a run-length coded BMP of %d bits", h.depth)
		}
		h.runs = true
		return nil
	case 3:
		if h.depth <= 8 {
			return bmpRefused("a BMP with bit fields of %d bits", h.depth)
		}
		h.masks = [3]uint32{at32(54), at32(58), at32(62)}
		if h.masks == [3]uint32{} {
			h.masks = [3]uint32{0xff0000, 0xff00, 0xff}
		}
		return nil
	}
	return bmpRefused("a BMP of compression %d", compression)
}

func bmpRefused(format string, args ...any) error {
	return adapters.Errorf(adapters.Unsupported, format, args...).WithRemedy("convert it to PNG")
}

func decodeBMP(data []byte) (*RGB, error) {
	h, err := readBMP(data)
	if err != nil {
		return nil, err
	}
	if h.runs {
		return h.decodeRuns(data)
	}
	stride := (h.width*h.depth + 31) / 32 * 4
	if h.pixels < 0 || h.pixels > len(data) || len(data)-h.pixels < stride*h.height {
		return nil, io.ErrUnexpectedEOF
	}
	out := newRGB(h.width, h.height)
	for y := range h.height {
		row := data[h.pixels+y*stride:][:stride]
		to := y
		if !h.topDown {
			to = h.height - 1 - y
		}
		h.row(row, out.Pix[3*to*h.width:][:3*h.width])
	}
	return out, nil
}

// decodeRuns decodes palette indices that are coded by run lengths, from the bottom row up. As in
// Pillow, indices that the file leaves out are 0 within a row, but must not lack at the end.
func (h *bmpHead) decodeRuns(data []byte) (*RGB, error) {
	indices, err := h.readRuns(data[min(h.pixels, len(data)):])
	if err != nil {
		return nil, err
	}
	out := newRGB(h.width, h.height)
	for i, index := range indices {
		y := i / h.width
		if !h.topDown {
			y = h.height - 1 - y
		}
		h.colour(int(index), out.Pix[3*(y*h.width+i%h.width):])
	}
	return out, nil
}

// readRuns returns uint8[height, width], bottom row first.
func (h *bmpHead) readRuns(data []byte) ([]uint8, error) {
	var out []uint8
	n := h.width * h.height
	for x := 0; len(out) < n && len(data) >= 2; {
		count, value := int(data[0]), data[1]
		data = data[2:]
		switch {
		case count > 0: // a run within the row
			count = max(0, min(count, h.width-x))
			for i := range count {
				out = append(out, h.nibble(value, i))
			}
			x += count
		case value == 0: // the end of the row
			out = append(out, make([]uint8, (h.width-len(out)%h.width)%h.width)...)
			x = 0
		case value == 1:
			data = nil
		case value == 2 && len(data) >= 2: // zeros up to another place
			out = append(out, make([]uint8, min(n-len(out), int(data[0])+int(data[1])*h.width))...)
			data = data[2:]
			x = len(out) % h.width
		case value > 2:
			count = min(n-len(out), int(value))
			size := count
			if h.depth == 4 {
				size = (count + 1) / 2
			}
			if size > len(data) {
				return nil, io.ErrUnexpectedEOF
			}
			for i := range count {
				out = append(out, h.nibble(data[i*h.depth/8], i))
			}
			data = data[min(len(data), size+size%2):]
			x += int(value)
		default:
			data = nil
		}
	}
	if len(out) < n {
		return nil, io.ErrUnexpectedEOF
	}
	return out[:n], nil
}

// nibble returns the index that the i-th pixel of a run has in a byte.
func (h *bmpHead) nibble(value byte, i int) uint8 {
	switch {
	case h.depth == 8:
		return value
	case i%2 == 0:
		return value >> 4
	}
	return value & 15
}

// colour looks up a palette index. One beyond the palette is black.
func (h *bmpHead) colour(index int, to []uint8) {
	if from := index * h.entry; from < len(h.palette) {
		to[0], to[1], to[2] = h.palette[from+2], h.palette[from+1], h.palette[from]
	}
}

// row turns a row of pixels into RGB.
func (h *bmpHead) row(row []byte, out []uint8) {
	for x := range h.width {
		to := out[3*x:][:3]
		if h.depth <= 8 {
			per := 8 / h.depth
			index := int(row[x/per]) >> (8 - h.depth - x%per*h.depth) & (1<<h.depth - 1)
			h.colour(index, to)
			continue
		}
		var pixel uint32
		for i, b := range row[x*h.depth/8:][:h.depth/8] {
			pixel |= uint32(b) << (8 * i)
		}
		for i, mask := range h.masks {
			value, width := pixel&mask>>bits.TrailingZeros32(mask), bits.OnesCount32(mask)
			if mask != 0 {
				to[i] = uint8(value * 255 / (1<<width - 1))
			}
		}
	}
}
