package torchfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// kind is the kind of an opcode's argument in a pickle.
type kind int

const (
	unknown kind = iota
	bare         // nothing
	one          // one byte; the next kinds are fixed numbers of bytes too
	two
	four
	eight
	short // a length of one byte, and that number of bytes
	long  // the same with a length of four bytes
	huge  // the same with a length of eight bytes
	frame // a length of eight bytes, of the opcodes that follow
	line  // a line
	lines // two lines
)

// opcodes returns the argument kinds of all opcodes in Python's pickletools, for protocols 0 to 5.
func opcodes() (kinds [256]kind) {
	for k, codes := range map[kind]string{
		bare: "(.012NQRabdelostu)]}\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98",
		one:  "Khq\x80\x82", two: "M\x83", four: "Jjr\x84", eight: "G",
		short: "UC\x8c\x8a", long: "TBX\x8b", huge: "\x8d\x8e\x96", frame: "\x95", line: "ILFSVPgp", lines: "ci",
	} {
		for i := range len(codes) {
			kinds[codes[i]] = k
		}
	}
	return kinds
}

// scan returns the length of the pickle at the beginning of data. It returns an error if an opcode
// is unknown or has a length beyond the data, because a reader that trusts such a length would
// allocate too much memory.
func scan(data []byte) (int, error) {
	kinds := opcodes()
	for at := 0; at < len(data); {
		code := data[at]
		n, err := argument(kinds[code], data[at+1:])
		if err != nil {
			return 0, fmt.Errorf("opcode %#02x at %d: %w", code, at, err)
		}
		if at += 1 + n; code == '.' {
			return at, nil
		}
	}
	return 0, fmt.Errorf("the pickle has no end")
}

// argument returns the number of bytes of an opcode's argument, which begins at rest.
func argument(k kind, rest []byte) (int, error) {
	fixed := map[kind]int{bare: 0, one: 1, two: 2, four: 4, eight: 8, short: 1, long: 4, huge: 8, frame: 8}
	n, ok := fixed[k]
	switch {
	case k == unknown:
		return 0, fmt.Errorf("it is unknown")
	case k == line || k == lines:
		for range int(k-line) + 1 {
			end := bytes.IndexByte(rest[n:], '\n')
			if end < 0 {
				return 0, fmt.Errorf("its line has no end")
			}
			n += end + 1
		}
		return n, nil
	case !ok || n > len(rest):
		return 0, fmt.Errorf("it is truncated")
	}
	var length uint64
	switch k {
	case short:
		length = uint64(rest[0])
	case long:
		length = uint64(binary.LittleEndian.Uint32(rest))
	case huge, frame:
		length = binary.LittleEndian.Uint64(rest)
	}
	if length > uint64(len(rest)-n) {
		return 0, fmt.Errorf("it has a length of %d bytes, but only %d are left", length, len(rest)-n)
	}
	if k == frame {
		length = 0
	}
	return n + int(length), nil
}
