package jpegfile

// bitReader reads the entropy-coded bytes of a scan. Behind a marker it returns zeros, as
// libjpeg does.
type bitReader struct {
	d         *decoder
	acc       uint64
	n         int  // bits in acc, the last ones read
	padding   int  // how many of them are not from the file
	ended     bool // a marker or the end of the file was met
	truncated bool // it was the end of the file
	empty     bool // padding was returned: the rest of the segment has no data
}

// fill makes sure that there are at least 32 bits.
func (b *bitReader) fill() {
	for b.n < 32 {
		c := b.next()
		if b.ended {
			b.padding += 8
		}
		b.acc = b.acc<<8 | uint64(c)
		b.n += 8
	}
}

// next returns the next byte of the scan, or 0 if there is none.
func (b *bitReader) next() byte {
	if b.ended {
		return 0
	}
	d := b.d
	if d.at >= len(d.data) {
		b.ended, b.truncated = true, true
		return 0
	}
	c := d.data[d.at]
	if c != 0xff {
		d.at++
		return c
	}
	i := d.at + 1
	for i < len(d.data) && d.data[i] == 0xff {
		i++
	}
	switch {
	case i == len(d.data):
		b.ended, b.truncated = true, true
		return 0
	case d.data[i] == 0:
		d.at = i + 1
		return 0xff
	}
	b.ended = true
	d.at = i - 1 // the marker is read again
	return 0
}

// bits returns the next count bits, at most 16.
func (b *bitReader) bits(count int) int32 {
	b.fill()
	v := int32(b.acc>>(b.n-count)) & (1<<count - 1)
	b.drop(count)
	return v
}

func (b *bitReader) drop(count int) {
	b.n -= count
	if b.n < b.padding {
		b.padding, b.empty = b.n, true
	}
}

// code returns the value of the next code, or 0 if the bits are no code.
func (b *bitReader) code(h *huffman) byte {
	b.fill()
	if e := h.short[byte(b.acc>>(b.n-8))]; e != 0 {
		b.drop(int(e >> 8))
		return byte(e)
	}
	for length := 9; length <= 16; length++ {
		code := int32(b.acc>>(b.n-length)) & (1<<length - 1)
		if code > h.maxCode[length] {
			continue
		}
		b.drop(length)
		if place := (code + h.offset[length]) & 0xff; int(place) < len(h.values) {
			return h.values[place]
		}
		return 0
	}
	b.drop(17) // as many as libjpeg drops
	return 0
}

// signed returns a number whose sign is coded by its first bit.
func (b *bitReader) signed(size byte) int32 {
	if size == 0 {
		return 0
	}
	size &= 15 // larger sizes are refused by libjpeg, or stand in damaged data
	v := b.bits(int(size))
	if size > 0 && v < 1<<(size-1) {
		v += 1 - 1<<size
	}
	return v
}

// restartAt begins the next segment of a scan, which the given restart marker precedes. If
// another one is met, it decides as libjpeg does which segments are missing.
func (b *bitReader) restartAt(want byte) error {
	d := b.d
	b.acc, b.n, b.padding = 0, 0, 0
	marker, err := d.nextMarker()
	for {
		if err != nil {
			return err
		}
		ahead := (marker - want) & 7
		switch {
		case marker == rst0+want:
		case marker < sof0, marker >= rst0 && marker <= rst7 && ahead >= 6: // invalid, or of a segment that is past
			marker, err = d.nextMarker()
			continue
		case marker < rst0, marker > rst7, ahead <= 2: // this segment is missing
			d.at -= 2
			b.ended = true
			return nil
		}
		b.ended, b.empty = false, false
		return nil
	}
}
