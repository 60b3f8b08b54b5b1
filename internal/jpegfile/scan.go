package jpegfile

import (
	"errors"
	"fmt"
)

// scan is the part of a file that holds coefficients of some components.
type scan struct {
	d          *decoder
	components []*component
	first      int // coefficients from first to last
	last       int
	high, low  int // successive approximation: the bits before, and those that stay open
	bits       bitReader
	arith      *arithmetic // instead of bits, in an arithmetic-coded file
	endOfBand  int32       // blocks that have no more coefficients in this scan
}

func (d *decoder) readScan(s []byte) error {
	sc, err := d.newScan(s)
	if err != nil {
		return err
	}
	decode := sc.decoder()
	d.scanned = true
	if len(sc.components) == 1 {
		c := sc.components[0]
		return sc.units(c.columns*c.rows, func(i int) {
			decode(c, &c.blocks[i/c.columns*c.stride+i%c.columns])
		})
	}
	across := ceil(d.width, 8*d.maxH)
	return sc.units(across*ceil(d.height, 8*d.maxV), func(i int) {
		for _, c := range sc.components {
			for j := range c.h * c.v {
				row, column := i/across*c.v+j/c.h, i%across*c.h+j%c.h
				decode(c, &c.blocks[row*c.stride+column])
			}
		}
	})
}

// decoder returns the function that decodes a block.
func (s *scan) decoder() func(*component, *block) {
	kinds := [5]func(*component, *block){s.sequential, s.dcFirst, s.dcRefine, s.acFirst, s.acRefine}
	if s.arith != nil {
		kinds = [5]func(*component, *block){s.arithmeticSequential, s.arithmeticDCFirst, s.arithmeticDCRefine, s.arithmeticACFirst, s.arithmeticACRefine}
	}
	switch {
	case !s.d.progressive:
		return kinds[0]
	case s.first == 0 && s.high == 0:
		return kinds[1]
	case s.first == 0:
		return kinds[2]
	case s.high == 0:
		return kinds[3]
	}
	return kinds[4]
}

// units decodes the n units of the scan: MCUs, or blocks if it has one component.
func (s *scan) units(n int, decode func(i int)) error {
	next := byte(0) // number of the restart marker
	for i := range n {
		if s.d.restart > 0 && i > 0 && i%s.d.restart == 0 {
			if err := s.bits.restartAt(next); err != nil {
				return err
			}
			next = (next + 1) & 7
			s.endOfBand = 0
			for _, c := range s.components {
				c.dc = 0
			}
			if s.arith != nil {
				s.arith.reset(s.bits.ended)
			}
		}
		if s.bits.empty || s.arith != nil && s.arith.failed {
			continue // libjpeg leaves the coefficients as they are
		}
		decode(i)
		if s.bits.empty && s.bits.truncated || s.arith != nil && s.arith.truncated {
			return errTruncated
		}
	}
	return nil
}

// newScan reads a scan's header.
func (d *decoder) newScan(s []byte) (*scan, error) {
	if len(s) < 1 || s[0] < 1 || s[0] > 4 || len(s) != 4+2*int(s[0]) {
		return nil, errors.New("a scan has a wrong length")
	}
	n := int(s[0])
	sc := &scan{d: d, last: 63, bits: bitReader{d: d}}
	if d.arithmetic {
		sc.arith = &arithmetic{d: d}
		sc.arith.reset(false)
	}
	if end := s[1+2*n:]; d.progressive {
		sc.first, sc.last, sc.high, sc.low = int(end[0]), int(end[1]), int(end[2]>>4), int(end[2]&15)
		if sc.first > sc.last || sc.last > 63 || sc.first == 0 && sc.last != 0 || sc.first > 0 && n > 1 || sc.low > 13 {
			return nil, fmt.Errorf("a scan of coefficients %d to %d, bits %d to %d, is wrong", sc.first, sc.last, sc.high, sc.low)
		}
	}
	size := 0
	for i := range n {
		c, err := d.scanComponent(s[1+2*i], s[2+2*i], sc)
		if err != nil {
			return nil, err
		}
		c.number = i
		sc.components = append(sc.components, c)
		size += c.h * c.v
	}
	if n > 1 && size > 10 {
		return nil, fmt.Errorf("a unit has %d blocks, want at most 10", size)
	}
	return sc, nil
}

// scanComponent looks up a component of a scan and its tables.
func (d *decoder) scanComponent(id, tables byte, sc *scan) (*component, error) {
	for i := range d.components {
		c := &d.components[i]
		if c.id != id {
			continue
		}
		if c.table == nil {
			if c.table = d.quantization[c.quantization]; c.table == nil {
				return nil, fmt.Errorf("quantization table %d is missing", c.quantization)
			}
			c.blocks = make([]block, c.stride*ceil(d.height, 8*d.maxV)*c.v)
		}
		c.dcIndex, c.acIndex = tables>>4, tables&15
		c.dcTable, c.acTable, c.dc = d.tableOf(0, tables>>4), d.tableOf(1, tables&15), 0
		needsDC, needsAC := sc.first == 0 && sc.high == 0, sc.last > 0
		if d.arithmetic {
			return c, nil
		}
		if needsDC && c.dcTable == nil || needsAC && c.acTable == nil {
			return nil, fmt.Errorf("a Huffman table of component %d is missing", id)
		}
		return c, nil
	}
	return nil, fmt.Errorf("a scan of component %d, which the frame lacks", id)
}

// tableOf returns a Huffman table. A sequential file may leave out the standard ones.
func (d *decoder) tableOf(class int, index byte) *huffman {
	if index > 3 {
		return nil
	}
	if h := d.huffman[class][index]; h != nil || d.progressive {
		return h
	}
	return standard()[class][index]
}

func (s *scan) sequential(c *component, b *block) {
	c.dc += s.bits.signed(s.bits.code(c.dcTable))
	b[0] = int16(c.dc)
	for k := 1; k < 64; k++ {
		v := s.bits.code(c.acTable)
		run, size := int(v>>4), v&15
		if size == 0 {
			if run != 15 {
				return
			}
			k += 15
			continue
		}
		k += run
		b[zigzag[k]] = int16(s.bits.signed(size))
	}
}

func (s *scan) dcFirst(c *component, b *block) {
	c.dc += s.bits.signed(s.bits.code(c.dcTable))
	b[0] = int16(c.dc << s.low)
}

func (s *scan) dcRefine(_ *component, b *block) {
	if s.bits.bits(1) != 0 {
		b[0] |= 1 << s.low
	}
}

func (s *scan) acFirst(c *component, b *block) {
	if s.endOfBand > 0 {
		s.endOfBand--
		return
	}
	for k := s.first; k <= s.last; k++ {
		v := s.bits.code(c.acTable)
		run, size := int(v>>4), v&15
		if size == 0 {
			if run != 15 {
				s.endOfBand = 1<<run + s.bits.bits(run) - 1
				return
			}
			k += 15
			continue
		}
		k += run
		b[zigzag[k]] = int16(s.bits.signed(size) << s.low)
	}
}

// acRefine adds a bit to the coefficients that are not zero, and makes others so.
func (s *scan) acRefine(c *component, b *block) {
	k := s.first
	for ; s.endOfBand == 0 && k <= s.last; k++ {
		v := s.bits.code(c.acTable)
		run, size := int(v>>4), v&15
		value := int16(0)
		if size != 0 {
			value = -1 << s.low
			if s.bits.bits(1) != 0 {
				value = 1 << s.low
			}
		} else if run != 15 {
			s.endOfBand = 1<<run + s.bits.bits(run)
			break
		}
		k = s.refine(b, k, run)
		if value != 0 {
			b[zigzag[k]] = value
		}
	}
	if s.endOfBand > 0 {
		s.refine(b, k, 64)
		s.endOfBand--
	}
}

// refine adds bits to coefficients from k on, until it has passed over run zeros and met
// another one. It returns the place of that one.
func (s *scan) refine(b *block, k, run int) int {
	for ; k <= s.last; k++ {
		v := &b[zigzag[k]]
		if *v == 0 {
			if run--; run < 0 {
				break
			}
			continue
		}
		if s.bits.bits(1) != 0 && *v&(1<<s.low) == 0 {
			if *v > 0 {
				*v += 1 << s.low
			} else {
				*v -= 1 << s.low
			}
		}
	}
	return k
}
