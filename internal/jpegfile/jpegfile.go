package jpegfile

import (
	"fmt"
	"io"

	"github.com/modular-bridging/bridge/adapters"
)

// Space says what the components of a picture are.
type Space int

const (
	Grey  Space = iota // one component
	YCbCr              // three
	RGB                // three
	CMYK               // four
	YCCK               // four: CMY as YCbCr, and K
)

// Picture is a decoded file.
type Picture struct {
	Width, Height int
	Space         Space
	Planes        []Plane // one for each component
}

// Plane holds the samples of a component, uint8[rows, Stride]. A sample stands for
// ScaleX by ScaleY pixels. Only Width by Height samples belong to the picture; the file
// has more of them, because it stores blocks of 8 by 8.
type Plane struct {
	Pix            []uint8
	Stride         int
	Width, Height  int
	ScaleX, ScaleY int
}

// Header describes the picture of a file. It stands before the pixels.
type Header struct {
	Width, Height int
	Space         Space
}

// errTruncated means that a file ends without an end mark.
var errTruncated = fmt.Errorf("the file is cut off: %w", io.ErrUnexpectedEOF)

// ReadHeader reads the size and the colour space of a file. It returns an error of kind
// Unsupported, which names the class of the file, if [Decode] cannot read it.
func ReadHeader(data []byte) (Header, error) {
	d := &decoder{data: data}
	if err := d.readMarkers(true); err != nil {
		return Header{}, err
	}
	return Header{Width: d.width, Height: d.height, Space: d.space()}, nil
}

// Decode reads a whole file.
func Decode(data []byte) (*Picture, error) {
	d := &decoder{data: data}
	if err := d.readMarkers(false); err != nil {
		return nil, err
	}
	p := &Picture{Width: d.width, Height: d.height, Space: d.space()}
	for i := range d.components {
		c := &d.components[i]
		if d.maxH%c.h != 0 || d.maxV%c.v != 0 {
			return nil, unsupported("a JPEG with an odd sampling ratio, %d by %d of %d by %d", c.h, c.v, d.maxH, d.maxV)
		}
		p.Planes = append(p.Planes, d.plane(c))
	}
	return p, nil
}

func unsupported(format string, args ...any) error {
	return adapters.Errorf(adapters.Unsupported, format, args...).WithRemedy("convert it to PNG")
}

// component is one plane of a frame.
type component struct {
	id               byte
	h, v             int // samples in each direction of an MCU, in blocks
	quantization     byte
	table            *[64]uint16 // the table at the component's first scan
	columns, rows    int         // blocks that hold samples of the picture
	stride           int         // blocks in a row, whole MCUs
	blocks           []block
	dcTable, acTable *huffman // of the current scan
	dc               int32
	// dcIndex and acIndex are the numbers of the current scan's tables, and number is the
	// component's place in the scan, for arithmetic coding.
	dcIndex, acIndex byte
	number           int
}

// block holds 64 coefficients in natural order.
type block [64]int16

// decoder holds the state of a file.
type decoder struct {
	data []byte
	at   int

	width, height int
	progressive   bool
	arithmetic    bool
	maxH, maxV    int
	components    []component
	scanned       bool

	jfif           bool
	adobe          bool
	adobeTransform byte

	quantization [4]*[64]uint16 // in natural order
	huffman      [2][4]*huffman // DC and AC
	dac          map[byte]byte  // conditioning of arithmetic coding: of DC tables, and behind 16 of AC tables
	restart      int            // units between restart markers; 0 without
}

// space decides what the components are, as libjpeg's default_decompress_parms does.
func (d *decoder) space() Space {
	switch len(d.components) {
	case 1:
		return Grey
	case 4:
		if d.adobe && d.adobeTransform != 0 {
			return YCCK
		}
		return CMYK
	}
	ids := [3]byte{d.components[0].id, d.components[1].id, d.components[2].id}
	switch {
	case d.jfif:
		return YCbCr
	case d.adobe:
		if d.adobeTransform == 0 {
			return RGB
		}
		return YCbCr
	case ids == [3]byte{'R', 'G', 'B'}:
		return RGB
	}
	return YCbCr
}

// plane transforms the coefficients of a component into samples.
func (d *decoder) plane(c *component) Plane {
	p := Plane{
		Stride: 8 * c.stride, ScaleX: d.maxH / c.h, ScaleY: d.maxV / c.v,
		Width: ceil(d.width*c.h, d.maxH), Height: ceil(d.height*c.v, d.maxV),
	}
	p.Pix = make([]uint8, 8*p.Stride*c.rows)
	if c.table == nil { // no scan has the component
		for i := range p.Pix {
			p.Pix[i] = 128
		}
		return p
	}
	for row := range c.rows {
		for column := range c.columns {
			inverseDCT(&c.blocks[row*c.stride+column], c.table, p.Pix[8*(row*p.Stride+column):], p.Stride)
		}
	}
	return p
}

func ceil(a, b int) int { return (a + b - 1) / b }
