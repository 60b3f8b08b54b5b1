package imaging

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
)

// gifPicture is a GIF file up to the pixels of its first frame.
type gifPicture struct {
	screen      image.Point // grown to hold the frame, as Pillow does it
	frame       image.Rectangle
	interlaced  bool
	palette     []uint8 // RGB; nil if the frame is grey
	transparent int     // palette index, or -1
	bits        int     // of the smallest code
}

func gifConfig(r io.Reader) (image.Config, error) {
	p, err := readGIF(bufio.NewReader(r))
	return image.Config{Width: p.screen.X, Height: p.screen.Y}, err
}

// decodeGIF returns a file's first frame on its screen. Transparent pixels have the colour
// that the palette gives them. The screen around the frame has the transparent colour, or
// the palette's first colour if there is none.
func decodeGIF(data []byte) (*RGB, error) {
	in := bufio.NewReader(bytes.NewReader(data))
	p, err := readGIF(in)
	if err != nil {
		return nil, err
	}
	indices := make([]uint8, p.frame.Dx()*p.frame.Dy())
	if err := readLZW(in, p.bits, indices); err != nil {
		return nil, err
	}
	screen := make([]uint8, p.screen.X*p.screen.Y)
	if p.transparent > 0 {
		for i := range screen {
			screen[i] = uint8(p.transparent)
		}
	}
	w := p.frame.Dx()
	for i, y := range gifRows(p.frame.Dy(), p.interlaced) {
		copy(screen[(p.frame.Min.Y+y)*p.screen.X+p.frame.Min.X:], indices[i*w:(i+1)*w])
	}
	return p.colours(screen), nil
}

// colours looks up palette indices. An index beyond the palette is black.
func (p gifPicture) colours(indices []uint8) *RGB {
	var table [256][3]uint8
	for i := range table {
		if p.palette == nil {
			table[i] = [3]uint8{uint8(i), uint8(i), uint8(i)}
		} else if 3*i < len(p.palette) {
			table[i] = [3]uint8(p.palette[3*i:])
		}
	}
	out := newRGB(p.screen.X, p.screen.Y)
	for i, index := range indices {
		copy(out.Pix[3*i:], table[index][:])
	}
	return out
}

// gifRows returns the places of a frame's rows in the order in which the file has them.
func gifRows(height int, interlaced bool) []int {
	var rows []int
	passes := [][2]int{{0, 1}}
	if interlaced {
		passes = [][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}}
	}
	for _, pass := range passes {
		for y := pass[0]; y < height; y += pass[1] {
			rows = append(rows, y)
		}
	}
	return rows
}

// readGIF reads a file up to the codes of its first frame.
func readGIF(in *bufio.Reader) (gifPicture, error) {
	p := gifPicture{transparent: -1}
	head := make([]byte, 13)
	if _, err := io.ReadFull(in, head); err != nil {
		return p, err
	}
	if version := string(head[:6]); version != "GIF87a" && version != "GIF89a" {
		return p, fmt.Errorf("version %q, want GIF87a or GIF89a", version)
	}
	p.screen = image.Pt(int(binary.LittleEndian.Uint16(head[6:])), int(binary.LittleEndian.Uint16(head[8:])))
	if err := p.readPalette(in, head[10]); err != nil {
		return p, err
	}
	for {
		mark, err := in.ReadByte()
		switch {
		case err != nil:
			return p, io.ErrUnexpectedEOF
		case mark == ';':
			return p, errors.New("the file holds no frame")
		case mark == '!':
			if err := p.readExtension(in); err != nil {
				return p, err
			}
		case mark == ',':
			return p, p.readFrame(in)
		} // Pillow skips other bytes
	}
}

// readPalette reads a palette if the flags announce one. Pillow passes over a palette that is
// a ramp of greys in order: without another one, indices are greys.
func (p *gifPicture) readPalette(in *bufio.Reader, flags byte) error {
	if flags&0x80 == 0 {
		return nil
	}
	palette := make([]uint8, 3<<(flags&7+1))
	if _, err := io.ReadFull(in, palette); err != nil {
		return err
	}
	for i, v := range palette {
		if int(v) != i/3 {
			p.palette = palette
		}
	}
	return nil
}

// readExtension reads the transparent index, and passes over all else.
func (p *gifPicture) readExtension(in *bufio.Reader) error {
	label, err := in.ReadByte()
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		block, err := gifBlock(in)
		if err != nil {
			return err
		}
		if len(block) == 0 {
			return nil
		}
		if first && label == 0xf9 && len(block) > 3 && block[0]&1 != 0 {
			p.transparent = int(block[3])
		}
	}
}

// readFrame reads a frame's place and palette.
func (p *gifPicture) readFrame(in *bufio.Reader) error {
	head := make([]byte, 9)
	if _, err := io.ReadFull(in, head); err != nil {
		return err
	}
	at := func(i int) int { return int(binary.LittleEndian.Uint16(head[i:])) }
	p.frame = image.Rect(at(0), at(2), at(0)+at(4), at(2)+at(6))
	if p.frame.Empty() {
		return errors.New("the frame has no pixels")
	}
	p.screen = image.Pt(max(p.screen.X, p.frame.Max.X), max(p.screen.Y, p.frame.Max.Y))
	p.interlaced = head[8]&0x40 != 0
	if err := p.readPalette(in, head[8]); err != nil {
		return err
	}
	bits, err := in.ReadByte()
	p.bits = int(bits)
	return err
}

// gifBlock reads a block of at most 255 bytes; an empty one ends a list of them.
func gifBlock(in *bufio.Reader) ([]byte, error) {
	n, err := in.ReadByte()
	if err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	block := make([]byte, n)
	_, err = io.ReadFull(in, block)
	return block, err
}

// gifBlocks reads the bytes of blocks up to the end of their list.
type gifBlocks struct {
	in   *bufio.Reader
	rest []byte
}

func (b *gifBlocks) ReadByte() (byte, error) {
	if len(b.rest) == 0 {
		block, err := gifBlock(b.in)
		if err != nil {
			return 0, err
		}
		if len(block) == 0 {
			return 0, errors.New("the frame's pixels end too early")
		}
		b.rest = block
	}
	c := b.rest[0]
	b.rest = b.rest[1:]
	return c, nil
}

// maxCodes is the number of codes of 12 bits.
const maxCodes = 1 << 12

// readLZW fills out with the palette indices that GIF's variable-length codes stand for. It
// takes smallest codes of up to 12 bits, as Pillow does; package compress/lzw takes 2 to 8.
func readLZW(in *bufio.Reader, bits int, out []uint8) error {
	if bits > 12 {
		return fmt.Errorf("codes of %d bits, want at most 12", bits)
	}
	var (
		source      = &gifBlocks{in: in}
		prefix      [maxCodes]uint16
		last        [maxCodes]uint8
		stack       [maxCodes + 1]uint8
		reset, stop = 1 << bits, 1<<bits + 1
		next, size  = stop + 1, bits + 1
		before      = -1 // the code before this one
		first       uint8
		buffer, n   int
	)
	for len(out) > 0 {
		for n < size {
			b, err := source.ReadByte()
			if err != nil {
				return err
			}
			buffer |= int(b) << n
			n += 8
		}
		code := buffer & (1<<size - 1)
		buffer, n = buffer>>size, n-size
		switch {
		case code == reset:
			next, size, before = stop+1, bits+1, -1
			continue
		case code == stop:
			return errors.New("the frame's pixels end too early")
		case code > next || before < 0 && code > reset:
			return errors.New("a code stands for nothing")
		}
		top, c := len(stack), code
		if before >= 0 && code == next {
			top--
			stack[top] = first
			c = before
		}
		for c >= reset {
			if c >= maxCodes || top < 2 {
				return errors.New("a code stands for nothing")
			}
			top--
			stack[top] = last[c]
			c = int(prefix[c])
		}
		first = uint8(c)
		top--
		stack[top] = first
		out = out[copy(out, stack[top:]):]
		if before >= 0 && next < maxCodes {
			prefix[next], last[next] = uint16(before), first
			if next == 1<<size-1 && size < 12 {
				size++
			}
			next++
		}
		before = code
	}
	return nil
}
