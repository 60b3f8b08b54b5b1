package jpegfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// zigzag is the natural position of each coefficient. Damaged data may count beyond 63;
// libjpeg puts such coefficients at the last position.
var zigzag = func() (table [64 + 16]byte) {
	x, y, up := 0, 0, true
	for i := range 64 {
		table[i] = byte(8*y + x)
		switch {
		case up && x == 7:
			y, up = y+1, false
		case up && y == 0:
			x, up = x+1, false
		case up:
			x, y = x+1, y-1
		case y == 7:
			x, up = x+1, true
		case x == 0:
			y, up = y+1, true
		default:
			x, y = x-1, y+1
		}
	}
	for i := 64; i < len(table); i++ {
		table[i] = 63
	}
	return table
}()

// The markers that are not named here have a length and are passed over.
const (
	sof0, sof1, sof2   = 0xc0, 0xc1, 0xc2
	sof9, sof10, dac   = 0xc9, 0xca, 0xcc
	dht, soi, eoi, sos = 0xc4, 0xd8, 0xd9, 0xda
	dqt, dri           = 0xdb, 0xdd
	rst0, rst7, tem    = 0xd0, 0xd7, 0x01
	app0, app14        = 0xe0, 0xee
)

// refused names the classes of frames that are not decoded.
var refused = map[byte]string{
	0xc3: "a lossless JPEG", 0xc5: "a hierarchical JPEG", 0xc6: "a hierarchical JPEG", 0xc7: "a lossless JPEG",
	0xcb: "a lossless JPEG", 0xcd: "a hierarchical JPEG", 0xce: "a hierarchical JPEG", 0xcf: "a lossless JPEG",
}

// readMarkers reads the file up to its end mark, or up to the first scan.
func (d *decoder) readMarkers(headOnly bool) error {
	for {
		marker, err := d.nextMarker()
		if err != nil {
			return err
		}
		if marker == eoi {
			if !d.scanned {
				return errors.New("the file has no pixels")
			}
			return nil
		}
		if marker == soi || marker == tem || marker >= rst0 && marker <= rst7 {
			continue
		}
		segment, err := d.segment()
		if err != nil {
			return err
		}
		if marker != sos {
			if err := d.readSegment(marker, segment); err != nil {
				return err
			}
			continue
		}
		if len(d.components) == 0 {
			return errors.New("a scan stands before the frame")
		}
		if headOnly {
			return nil
		}
		if err := d.readScan(segment); err != nil {
			return err
		}
	}
}

// nextMarker passes over bytes up to a marker and returns it.
func (d *decoder) nextMarker() (byte, error) {
	for {
		i := bytes.IndexByte(d.data[d.at:], 0xff)
		if i < 0 {
			return 0, errTruncated
		}
		d.at += i
		for d.at < len(d.data) && d.data[d.at] == 0xff {
			d.at++
		}
		if d.at == len(d.data) {
			return 0, errTruncated
		}
		d.at++
		if marker := d.data[d.at-1]; marker != 0 {
			return marker, nil
		}
	}
}

// segment returns the bytes of a segment behind its length.
func (d *decoder) segment() ([]byte, error) {
	if len(d.data)-d.at < 2 {
		return nil, errTruncated
	}
	n := int(binary.BigEndian.Uint16(d.data[d.at:]))
	if n < 2 {
		return nil, fmt.Errorf("a segment has length %d, want at least 2", n)
	}
	if len(d.data)-d.at < n {
		return nil, errTruncated
	}
	segment := d.data[d.at+2 : d.at+n]
	d.at += n
	return segment, nil
}

func (d *decoder) readSegment(marker byte, s []byte) error {
	if class, ok := refused[marker]; ok {
		return unsupported("%s", class)
	}
	switch marker {
	case sof0, sof1, sof2, sof9, sof10:
		d.progressive, d.arithmetic = marker == sof2 || marker == sof10, marker >= sof9
		return d.readFrame(s)
	case dht:
		return d.readHuffman(s)
	case dqt:
		return d.readQuantization(s)
	case dac:
		d.dac = map[byte]byte{}
		for i := 0; i+1 < len(s); i += 2 {
			d.dac[s[i]] = s[i+1]
		}
	case dri:
		if len(s) != 2 {
			return errors.New("the restart interval has a wrong length")
		}
		d.restart = int(binary.BigEndian.Uint16(s))
	case app0:
		d.jfif = d.jfif || bytes.HasPrefix(s, []byte("JFIF\x00"))
	case app14:
		if len(s) >= 12 && bytes.HasPrefix(s, []byte("Adobe")) {
			d.adobe, d.adobeTransform = true, s[11]
		}
	}
	return nil
}

// readFrame reads sizes and components, and makes room for the coefficients.
func (d *decoder) readFrame(s []byte) error {
	if len(d.components) > 0 {
		return errors.New("the file has two frames")
	}
	if len(s) < 6 || len(s) != 6+3*int(s[5]) {
		return errors.New("the frame has a wrong length")
	}
	if s[0] != 8 {
		return unsupported("a JPEG of %d bits, want 8", s[0])
	}
	d.height, d.width = int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:]))
	if d.height == 0 || d.width == 0 {
		return fmt.Errorf("the picture has %d by %d pixels, want at least one", d.width, d.height)
	}
	if n := s[5]; n != 1 && n != 3 && n != 4 {
		return unsupported("a JPEG of %d components, want 1, 3 or 4", n)
	}
	for i := 6; i < len(s); i += 3 {
		c := component{id: s[i], h: int(s[i+1] >> 4), v: int(s[i+1] & 15), quantization: s[i+2]}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quantization > 3 {
			return fmt.Errorf("component %d has sampling %d by %d and table %d", c.id, c.h, c.v, c.quantization)
		}
		d.maxH, d.maxV = max(d.maxH, c.h), max(d.maxV, c.v)
		d.components = append(d.components, c)
	}
	for i := range d.components {
		c := &d.components[i]
		c.columns, c.rows = ceil(d.width*c.h, 8*d.maxH), ceil(d.height*c.v, 8*d.maxV)
		c.stride = ceil(d.width, 8*d.maxH) * c.h
	}
	return nil
}

func (d *decoder) readQuantization(s []byte) error {
	for len(s) > 0 {
		wide, index := s[0]>>4, s[0]&15
		n := 64 * (1 + int(wide))
		if wide > 1 || index > 3 || len(s) < 1+n {
			return errors.New("a quantization table is wrong")
		}
		table := new([64]uint16)
		for i := range table {
			if wide == 0 {
				table[zigzag[i]] = uint16(s[1+i])
			} else {
				table[zigzag[i]] = binary.BigEndian.Uint16(s[1+2*i:])
			}
		}
		d.quantization[index] = table
		s = s[1+n:]
	}
	return nil
}

func (d *decoder) readHuffman(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 {
			return errors.New("a Huffman table is cut off")
		}
		n := 0
		for _, count := range s[1:17] {
			n += int(count)
		}
		class, index := s[0]>>4, s[0]&15
		if class > 1 || index > 3 || n > 256 || len(s) < 17+n {
			return errors.New("a Huffman table is wrong")
		}
		d.huffman[class][index] = newHuffman(s[1:17], s[17:17+n])
		s = s[17+n:]
	}
	return nil
}
