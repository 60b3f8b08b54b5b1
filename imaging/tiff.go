package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"image"
	"io"

	"golang.org/x/image/tiff/lzw"

	"github.com/modular-bridging/bridge/adapters"
)

// The tags of a TIFF directory that tell about pixels.
const (
	tiffWidth, tiffHeight                 = 256, 257
	tiffBits, tiffCompression, tiffColour = 258, 259, 262
	tiffFillOrder, tiffStrips             = 266, 273
	tiffSamples, tiffStripRows            = 277, 278
	tiffPlanar, tiffPredictor             = 284, 317
	tiffPalette, tiffTileWidth            = 320, 322
	tiffTileHeight, tiffTiles             = 323, 324
	tiffExtra, tiffFormat                 = 338, 339
)

// The values of the tag for colours, photometric interpretation.
const (
	tiffWhiteIsZero, tiffBlackIsZero, tiffRGB = 0, 1, 2
	tiffIndexed, tiffCMYK, tiffYCbCr          = 3, 5, 6
)

// tiffFile is the first picture of a TIFF file.
type tiffFile struct {
	data          []byte
	order         binary.ByteOrder
	tags          map[uint16][]byte // entries of the directory
	width, height int
	bits          int // of a sample: 1, 2, 4, 8 or 16
	samples       int // of a pixel
	colour        int
	planar        bool // each sample has a plane of its own
	block         image.Point
}

// tiffConfig reads the whole file, because a TIFF's directory may stand at its end.
func tiffConfig(r io.Reader) (image.Config, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return image.Config{}, err
	}
	f, err := readTIFF(data)
	return image.Config{Width: f.width, Height: f.height}, err
}

// decodeTIFF turns the picture in any case, because Pillow does it when it loads a TIFF.
func decodeTIFF(data []byte) (*RGB, error) {
	f, err := readTIFF(data)
	if err != nil {
		return nil, err
	}
	pixels, err := f.pixels()
	if err != nil {
		return nil, err
	}
	return f.colours(pixels).turned(orientationOf(data, nil)), nil
}

func tiffRefused(format string, args ...any) error {
	return adapters.Errorf(adapters.Unsupported, format, args...).WithRemedy("convert it to PNG")
}

// readTIFF reads the first directory, and checks that the layout of the pixels is known.
func readTIFF(data []byte) (f tiffFile, err error) {
	f = tiffFile{data: data, order: binary.LittleEndian, tags: map[uint16][]byte{}}
	if bytes.HasPrefix(data, []byte("MM")) {
		f.order = binary.BigEndian
	}
	if len(data) < 8 {
		return f, io.ErrUnexpectedEOF
	}
	at := int(f.order.Uint32(data[4:]))
	if at+2 > len(data) {
		return f, io.ErrUnexpectedEOF
	}
	n := int(f.order.Uint16(data[at:]))
	if at+2+12*n > len(data) {
		return f, io.ErrUnexpectedEOF
	}
	for i := range n {
		entry := data[at+2+12*i:][:12]
		f.tags[f.order.Uint16(entry)] = entry
	}
	f.width, f.height = f.number(tiffWidth, 0), f.number(tiffHeight, 0)
	f.bits, f.samples = f.number(tiffBits, 1), f.number(tiffSamples, 1)
	f.colour, f.planar = f.number(tiffColour, 0), f.number(tiffPlanar, 1) == 2
	f.block = image.Pt(f.width, min(f.height, f.number(tiffStripRows, f.height)))
	if f.tags[tiffTileWidth] != nil {
		f.block = image.Pt(f.number(tiffTileWidth, 0), f.number(tiffTileHeight, 0))
	}
	return f, f.check()
}

// numbers returns the values of a tag.
func (f *tiffFile) numbers(tag uint16) []int {
	entry := f.tags[tag]
	if entry == nil {
		return nil
	}
	size := map[uint16]int{1: 1, 3: 2, 4: 4}[f.order.Uint16(entry[2:])]
	count, values := int(f.order.Uint32(entry[4:])), entry[8:]
	if size == 0 {
		return nil
	}
	if size*count > 4 {
		at := int(f.order.Uint32(values))
		if at > len(f.data) {
			return nil
		}
		values = f.data[at:]
	}
	numbers := make([]int, min(count, len(values)/size))
	for i := range numbers {
		switch v := values[i*size:]; size {
		case 1:
			numbers[i] = int(v[0])
		case 2:
			numbers[i] = int(f.order.Uint16(v))
		default:
			numbers[i] = int(f.order.Uint32(v))
		}
	}
	return numbers
}

// number returns the first value of a tag, or another one if the tag is missing.
func (f *tiffFile) number(tag uint16, missing int) int {
	if numbers := f.numbers(tag); len(numbers) > 0 {
		return numbers[0]
	}
	return missing
}

// check refuses layouts that are not known, by name.
func (f *tiffFile) check() error {
	if f.width < 1 || f.height < 1 || f.block.X < 1 || f.block.Y < 1 || f.samples < 1 {
		return fmt.Errorf("a picture of %d by %d pixels in blocks of %d by %d", f.width, f.height, f.block.X, f.block.Y)
	}
	for _, bits := range f.numbers(tiffBits) {
		if bits != f.bits {
			return tiffRefused("a TIFF whose samples have %d and %d bits", f.bits, bits)
		}
	}
	need, known := map[int]int{tiffWhiteIsZero: 1, tiffBlackIsZero: 1, tiffRGB: 3, tiffIndexed: 1, tiffCMYK: 4}[f.colour]
	extra := f.number(tiffExtra, 0)
	switch {
	case f.number(tiffFormat, 1) != 1:
		return tiffRefused("a TIFF of signed or floating-point numbers")
	case f.colour == tiffYCbCr:
		return tiffRefused("a TIFF of brightness and colour")
	case !known || f.samples < need || f.samples > need+3:
		return tiffRefused("a TIFF of colours %d with %d samples", f.colour, f.samples)
	case f.bits != 1 && f.bits != 2 && f.bits != 4 && f.bits != 8 && f.bits != 16,
		f.bits < 8 && f.samples > 1, f.bits == 16 && f.colour == tiffIndexed:
		return tiffRefused("a TIFF of %d bits with %d samples", f.bits, f.samples)
	case f.number(tiffFillOrder, 1) != 1:
		return tiffRefused("a TIFF with the lowest bit first")
	case extra == 1 && (f.colour != tiffRGB || f.bits != 8):
		return tiffRefused("a TIFF whose colours are multiplied by alpha")
	}
	switch c := f.number(tiffCompression, 1); c {
	case 1, 5, 8, 32946, 32773:
		return nil
	case 2, 3, 4:
		return tiffRefused("a fax-coded TIFF")
	case 6, 7:
		return tiffRefused("a JPEG-coded TIFF")
	default:
		return tiffRefused("a TIFF of compression %d", c)
	}
}

// pixels returns uint8[height, width, samples]. Samples of 16 bits are cut to the higher 8.
func (f *tiffFile) pixels() ([]uint8, error) {
	out := make([]uint8, f.width*f.height*f.samples)
	offsets := f.numbers(tiffStrips)
	if f.tags[tiffTileWidth] != nil {
		offsets = f.numbers(tiffTiles)
	}
	across, down := (f.width+f.block.X-1)/f.block.X, (f.height+f.block.Y-1)/f.block.Y
	planes, each := 1, f.samples
	if f.planar {
		planes, each = f.samples, 1
	}
	if len(offsets) < across*down*planes {
		return nil, fmt.Errorf("the picture has %d blocks, want %d", len(offsets), across*down*planes)
	}
	for i := range across * down * planes {
		plane, x, y := i/(across*down), i%across*f.block.X, i/across%down*f.block.Y
		rows := f.block.Y
		if f.tags[tiffTileWidth] == nil {
			rows = min(rows, f.height-y)
		}
		stride := (f.block.X*each*f.bits + 7) / 8
		block, err := f.unpack(offsets[i], stride*rows)
		if err != nil {
			return nil, err
		}
		for row := range min(rows, f.height-y) {
			values := f.row(block[row*stride:][:stride], f.block.X, each)
			for column := range min(f.block.X, f.width-x) {
				to := ((y+row)*f.width+x+column)*f.samples + plane
				copy(out[to:], values[column*each:][:each])
			}
		}
	}
	return out, nil
}

// unpack returns n bytes of a block.
func (f *tiffFile) unpack(at, n int) ([]byte, error) {
	if at > len(f.data) {
		return nil, io.ErrUnexpectedEOF
	}
	var r io.Reader = bytes.NewReader(f.data[at:])
	switch f.number(tiffCompression, 1) {
	case 5:
		r = lzw.NewReader(r, lzw.MSB, 8)
	case 8, 32946:
		inflated, err := zlib.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = inflated
	case 32773:
		return unpackBits(f.data[at:], n)
	}
	block, err := io.ReadAll(io.LimitReader(r, int64(n))) // grows with the data, not with what the head says
	if len(block) < n && err == nil {
		err = io.ErrUnexpectedEOF
	}
	return block, err
}

// unpackBits decodes runs: a count of bytes that follow, or a negative count and the byte that
// is repeated.
func unpackBits(data []byte, n int) ([]byte, error) {
	var out []byte
	for len(out) < n {
		if len(data) < 2 {
			return nil, io.ErrUnexpectedEOF
		}
		count := int(int8(data[0]))
		data = data[1:]
		switch {
		case count >= 0:
			count = min(count+1, len(data))
			out = append(out, data[:count]...)
			data = data[count:]
		case count > -128:
			out = append(out, bytes.Repeat(data[:1], 1-count)...)
			data = data[1:]
		}
	}
	return out[:n], nil
}

// row returns the samples of a row of a block, each of 8 bits.
func (f *tiffFile) row(row []byte, width, each int) []uint8 {
	values := make([]uint8, width*each)
	predicted := f.number(tiffPredictor, 1) == 2
	switch f.bits {
	case 16:
		var before [8]uint16
		for i := range values {
			v := f.order.Uint16(row[2*i:])
			if predicted {
				v += before[i%each]
				before[i%each] = v
			}
			values[i] = uint8(v >> 8)
		}
	case 8:
		copy(values, row)
		for i := each; predicted && i < len(values); i++ {
			values[i] += values[i-each]
		}
	default:
		per := 8 / f.bits
		for i := range values {
			values[i] = row[i/per] >> (8 - f.bits - i%per*f.bits) & (1<<f.bits - 1)
		}
	}
	return values
}

// colours turns the samples of pixels into RGB.
func (f *tiffFile) colours(pixels []uint8) *RGB {
	out := newRGB(f.width, f.height)
	palette := f.numbers(tiffPalette)
	grey := 255 / (1<<min(f.bits, 8) - 1)
	alpha := f.colour == tiffRGB && f.number(tiffExtra, 0) == 1 && f.samples > 3
	for i := range f.width * f.height {
		p, to := pixels[i*f.samples:][:f.samples], out.Pix[3*i:][:3]
		switch f.colour {
		case tiffWhiteIsZero, tiffBlackIsZero:
			v := uint8(int(p[0]) * grey)
			if f.colour == tiffWhiteIsZero && f.bits < 16 { // Pillow does not invert 16 bits
				v = 255 - v
			}
			to[0], to[1], to[2] = v, v, v
		case tiffRGB:
			copy(to, p)
			for c := range to {
				switch {
				case alpha && p[3] == 0:
					to[c] = 0
				case alpha:
					to[c] = clamp(int(p[c]) * 255 / int(p[3]))
				}
			}
		case tiffIndexed:
			for c := range to {
				if at := c<<f.bits + int(p[0]); at < len(palette) {
					to[c] = uint8(palette[at] >> 8)
				}
			}
		case tiffCMYK:
			to[0], to[1], to[2] = ink(p[0], p[3]), ink(p[1], p[3]), ink(p[2], p[3])
		}
	}
	return out
}
