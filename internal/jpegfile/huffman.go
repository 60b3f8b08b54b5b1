package jpegfile

import (
	"bytes"
	"image"
	"image/jpeg"
)

// huffman decodes the codes of a table.
type huffman struct {
	values  []byte
	maxCode [17]int32 // the largest code of each length, or -1
	offset  [17]int32 // what is added to a code of a length to get its place in values
	short   [256]uint16
}

func newHuffman(counts, values []byte) *huffman {
	h := &huffman{values: values}
	code, place := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		n := int32(counts[length-1])
		h.maxCode[length] = -1
		h.offset[length] = place - code
		if n > 0 {
			h.maxCode[length] = code + n - 1
		}
		if length <= 8 {
			h.fillShort(length, code, n, place)
		}
		code, place = (code+n)<<1, place+n
	}
	return h
}

// fillShort stores length<<8 | value for all bytes that begin with a code.
func (h *huffman) fillShort(length int, code, n, place int32) {
	for i := range n {
		first := (code + i) << (8 - length)
		for j := range int32(1) << (8 - length) {
			if first+j < 256 { // a wrong table may have too many codes
				h.short[first+j] = uint16(length)<<8 | uint16(h.values[place+i])
			}
		}
	}
}

// standard returns the tables that T.81 suggests, which frames of Motion JPEG leave out.
// Package image/jpeg writes them into every file.
func standard() [2][4]*huffman {
	var file bytes.Buffer
	if err := jpeg.Encode(&file, image.NewYCbCr(image.Rect(0, 0, 1, 1), image.YCbCrSubsampleRatio444), nil); err != nil {
		panic("jpegfile: a picture of one pixel cannot be encoded: " + err.Error())
	}
	d := &decoder{data: file.Bytes()}
	if err := d.readMarkers(true); err != nil {
		panic("jpegfile: a picture of one pixel cannot be read: " + err.Error())
	}
	return d.huffman
}
