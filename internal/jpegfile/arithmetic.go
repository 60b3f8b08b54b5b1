package jpegfile

// estimate is a state of the estimation of a bit's probability.
type estimate struct {
	interval     uint32 // of the less probable value
	less, more   uint8  // the next state after the less and the more probable value
	switchesOver bool   // the less probable value becomes the more probable one
}

// estimates is table D.3 of T.81. The last state stays at one half.
var estimates = [114]estimate{
	{0x5a1d, 1, 1, true}, {0x2586, 14, 2, false}, {0x1114, 16, 3, false}, {0x080b, 18, 4, false},
	{0x03d8, 20, 5, false}, {0x01da, 23, 6, false}, {0x00e5, 25, 7, false}, {0x006f, 28, 8, false},
	{0x0036, 30, 9, false}, {0x001a, 33, 10, false}, {0x000d, 35, 11, false}, {0x0006, 9, 12, false},
	{0x0003, 10, 13, false}, {0x0001, 12, 13, false}, {0x5a7f, 15, 15, true}, {0x3f25, 36, 16, false},
	{0x2cf2, 38, 17, false}, {0x207c, 39, 18, false}, {0x17b9, 40, 19, false}, {0x1182, 42, 20, false},
	{0x0cef, 43, 21, false}, {0x09a1, 45, 22, false}, {0x072f, 46, 23, false}, {0x055c, 48, 24, false},
	{0x0406, 49, 25, false}, {0x0303, 51, 26, false}, {0x0240, 52, 27, false}, {0x01b1, 54, 28, false},
	{0x0144, 56, 29, false}, {0x00f5, 57, 30, false}, {0x00b7, 59, 31, false}, {0x008a, 60, 32, false},
	{0x0068, 62, 33, false}, {0x004e, 63, 34, false}, {0x003b, 32, 35, false}, {0x002c, 33, 9, false},
	{0x5ae1, 37, 37, true}, {0x484c, 64, 38, false}, {0x3a0d, 65, 39, false}, {0x2ef1, 67, 40, false},
	{0x261f, 68, 41, false}, {0x1f33, 69, 42, false}, {0x19a8, 70, 43, false}, {0x1518, 72, 44, false},
	{0x1177, 73, 45, false}, {0x0e74, 74, 46, false}, {0x0bfb, 75, 47, false}, {0x09f8, 77, 48, false},
	{0x0861, 78, 49, false}, {0x0706, 79, 50, false}, {0x05cd, 48, 51, false}, {0x04de, 50, 52, false},
	{0x040f, 50, 53, false}, {0x0363, 51, 54, false}, {0x02d4, 52, 55, false}, {0x025c, 53, 56, false},
	{0x01f8, 54, 57, false}, {0x01a4, 55, 58, false}, {0x0160, 56, 59, false}, {0x0125, 57, 60, false},
	{0x00f6, 58, 61, false}, {0x00cb, 59, 62, false}, {0x00ab, 61, 63, false}, {0x008f, 61, 32, false},
	{0x5b12, 65, 65, true}, {0x4d04, 80, 66, false}, {0x412c, 81, 67, false}, {0x37d8, 82, 68, false},
	{0x2fe8, 83, 69, false}, {0x293c, 84, 70, false}, {0x2379, 86, 71, false}, {0x1edf, 87, 72, false},
	{0x1aa9, 87, 73, false}, {0x174e, 72, 74, false}, {0x1424, 72, 75, false}, {0x119c, 74, 76, false},
	{0x0f6b, 74, 77, false}, {0x0d51, 75, 78, false}, {0x0bb6, 77, 79, false}, {0x0a40, 77, 48, false},
	{0x5832, 80, 81, true}, {0x4d1c, 88, 82, false}, {0x438e, 89, 83, false}, {0x3bdd, 90, 84, false},
	{0x34ee, 91, 85, false}, {0x2eae, 92, 86, false}, {0x299a, 93, 87, false}, {0x2516, 86, 71, false},
	{0x5570, 88, 89, true}, {0x4ca9, 95, 90, false}, {0x44d9, 96, 91, false}, {0x3e22, 97, 92, false},
	{0x3824, 99, 93, false}, {0x32b4, 99, 94, false}, {0x2e17, 93, 86, false}, {0x56a8, 95, 96, true},
	{0x4f46, 101, 97, false}, {0x47e5, 102, 98, false}, {0x41cf, 103, 99, false}, {0x3c3d, 104, 100, false},
	{0x375e, 99, 93, false}, {0x5231, 105, 102, false}, {0x4c0f, 106, 103, false}, {0x4639, 107, 104, false},
	{0x415e, 103, 99, false}, {0x5627, 105, 106, true}, {0x50e7, 108, 107, false}, {0x4b85, 109, 103, false},
	{0x5597, 110, 109, false}, {0x504f, 111, 107, false}, {0x5a10, 110, 111, true}, {0x5522, 112, 109, false},
	{0x59eb, 112, 111, true}, {0x5a1d, 113, 113, false},
}

// The places of statistics, tables F.4 and F.5 of T.81.
const (
	dcMagnitudes    = 20
	acMagnitudes    = 189
	acMagnitudesFar = 217 // of coefficients beyond the conditioning value
	bitPatterns     = 14  // behind the magnitudes
)

// arithmetic decodes the bits of a scan by their probability. A statistic is a state, and in its
// highest bit the more probable value.
type arithmetic struct {
	d         *decoder
	code      uint32
	interval  uint32
	shift     int
	ended     bool // a marker was met: zeros are read from there on
	truncated bool
	failed    bool // the data makes no sense: the rest of the segment stays zero

	dc      [16][64]uint8
	ac      [16][256]uint8
	context [4]int // of each component's DC: its last difference
	half    uint8
}

// reset begins a segment.
func (a *arithmetic) reset(ended bool) {
	*a = arithmetic{d: a.d, shift: -16, ended: ended, half: 113}
}

// next returns the next byte of the scan, or 0 if there is none.
func (a *arithmetic) next() uint32 {
	if a.ended {
		return 0
	}
	b := bitReader{d: a.d}
	c := b.next()
	a.ended, a.truncated = b.ended, b.truncated
	return uint32(c)
}

// bit decodes a bit by procedure D.2 of T.81.
func (a *arithmetic) bit(state *uint8) bool {
	for a.interval < 0x8000 {
		if a.shift--; a.shift < 0 {
			a.code = a.code<<8 | a.next()
			if a.shift += 8; a.shift < 0 { // the first two bytes
				if a.shift++; a.shift == 0 {
					a.interval = 0x8000
				}
			}
		}
		a.interval <<= 1
	}
	e, value := estimates[*state&0x7f], *state>>7
	a.interval -= e.interval
	small := a.interval < e.interval // the names of the two intervals are exchanged
	if border := a.interval << a.shift; a.code >= border {
		a.code -= border
		a.interval = e.interval
		return a.decide(state, e, value, small)
	}
	if a.interval < 0x8000 {
		return a.decide(state, e, value, !small)
	}
	return value != 0
}

// decide returns the more or the less probable value, and makes the next state.
func (a *arithmetic) decide(state *uint8, e estimate, value uint8, more bool) bool {
	if more {
		*state = value<<7 | e.more
		return value != 0
	}
	next := value
	if e.switchesOver {
		next ^= 1
	}
	*state = next<<7 | e.less
	return value == 0
}

// magnitude reads the bits of a magnitude category that stand at *at, which it moves along.
func (a *arithmetic) magnitude(states []uint8, at *int, m int) int {
	for a.bit(&states[*at]) {
		if m <<= 1; m == 0x8000 {
			a.failed = true
			return 0
		}
		*at++
	}
	return m
}

// pattern reads the lower bits of a number in a magnitude category.
func (a *arithmetic) pattern(state *uint8, m int, negative bool) int32 {
	v := m
	for m >>= 1; m > 0; m >>= 1 {
		if a.bit(state) {
			v |= m
		}
	}
	if negative {
		return int32(-v - 1)
	}
	return int32(v + 1)
}

// difference decodes the difference of a DC coefficient, figures F.19 to F.24 of T.81.
func (a *arithmetic) difference(c *component) int32 {
	table := &a.dc[c.dcIndex]
	at := a.context[c.number]
	if !a.bit(&table[at]) {
		a.context[c.number] = 0
		return 0
	}
	negative := a.bit(&table[at+1])
	at += 2
	if negative {
		at++
	}
	m := 0
	if a.bit(&table[at]) {
		at = dcMagnitudes
		if m = a.magnitude(table[:], &at, 1); a.failed {
			return 0
		}
	}
	limits := a.d.conditioning(c.dcIndex)
	category := 4
	switch {
	case m < 1<<(limits&15)>>1:
		category = 0
	case m > 1<<(limits>>4)>>1:
		category = 12
	}
	if negative && category > 0 {
		category += 4
	}
	a.context[c.number] = category
	return a.pattern(&table[at+bitPatterns], m, negative)
}

// coefficient decodes an AC coefficient that is not zero. at is the place of its decisions.
func (a *arithmetic) coefficient(c *component, k, at int) int32 {
	table := &a.ac[c.acIndex]
	negative := a.bit(&a.half)
	at += 2
	m := 0
	if a.bit(&table[at]) {
		m = 1
		if a.bit(&table[at]) {
			at = acMagnitudesFar
			if k <= int(a.d.acConditioning(c.acIndex)) {
				at = acMagnitudes
			}
			if m = a.magnitude(table[:], &at, 2); a.failed {
				return 0
			}
		}
	}
	return a.pattern(&table[at+bitPatterns], m, negative)
}

// conditioning returns the bounds of a DC table's conditioning categories, the upper one in the
// higher four bits.
func (d *decoder) conditioning(index byte) byte {
	if v, ok := d.dac[index]; ok {
		return v
	}
	return 1 << 4
}

// acConditioning returns the last coefficient that has the first statistics of magnitudes.
func (d *decoder) acConditioning(index byte) byte {
	if v, ok := d.dac[16+index]; ok {
		return v
	}
	return 5
}

func (s *scan) arithmeticSequential(c *component, b *block) {
	c.dc += s.arith.difference(c)
	if s.arith.failed {
		return
	}
	b[0] = int16(c.dc)
	s.arithmeticFirst(c, b, 1, 63)
}

func (s *scan) arithmeticDCFirst(c *component, b *block) {
	c.dc += s.arith.difference(c)
	if !s.arith.failed {
		b[0] = int16(c.dc << s.low)
	}
}

func (s *scan) arithmeticDCRefine(_ *component, b *block) {
	if s.arith.bit(&s.arith.half) {
		b[0] |= 1 << s.low
	}
}

func (s *scan) arithmeticACFirst(c *component, b *block) { s.arithmeticFirst(c, b, s.first, s.last) }

// arithmeticFirst decodes coefficients from first to last.
func (s *scan) arithmeticFirst(c *component, b *block, first, last int) {
	table := &s.arith.ac[c.acIndex]
	for k := first; k <= last; k++ {
		at := 3 * (k - 1)
		if s.arith.bit(&table[at]) { // the end of the block
			return
		}
		for !s.arith.bit(&table[at+1]) {
			at += 3
			if k++; k > last {
				s.arith.failed = true
				return
			}
		}
		v := s.arith.coefficient(c, k, at)
		if s.arith.failed {
			return
		}
		b[zigzag[k]] = int16(v << s.low)
	}
}

// arithmeticACRefine adds a bit to the coefficients that are not zero, and makes others so.
func (s *scan) arithmeticACRefine(c *component, b *block) {
	a, table := s.arith, &s.arith.ac[c.acIndex]
	end := s.last // the last coefficient that is not zero yet
	for end > 0 && b[zigzag[end]] == 0 {
		end--
	}
	for k := s.first; k <= s.last; k++ {
		at := 3 * (k - 1)
		if k > end && a.bit(&table[at]) {
			return
		}
		for ; b[zigzag[k]] == 0; at += 3 {
			if a.bit(&table[at+1]) {
				break
			}
			if k++; k > s.last {
				a.failed = true
				return
			}
		}
		s.refineOne(&b[zigzag[k]], &table[at+2])
	}
}

// refineOne adds a bit to a coefficient, or gives it its first one.
func (s *scan) refineOne(v *int16, state *uint8) {
	switch {
	case *v == 0 && s.arith.bit(&s.arith.half):
		*v = -1 << s.low
	case *v == 0:
		*v = 1 << s.low
	case !s.arith.bit(state):
	case *v < 0:
		*v -= 1 << s.low
	default:
		*v += 1 << s.low
	}
}
