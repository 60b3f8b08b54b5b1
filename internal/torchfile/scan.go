package torchfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// kind is the kind of argument that follows an opcode of a pickle.
type kind int

const (
	unknown kind = iota
	bare         // nothing
	one          // so many bytes
	two
	four
	eight
	short // a length of one byte, and as many bytes
	long  // of four
	huge  // of eight
	frame // a length of eight bytes; what it counts are opcodes
	line  // a line
	lines // two lines
)

// opcodes returns the kinds of all opcodes of Python's pickletools, protocols 0
// to 5.
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

// scan returns the length of the pickle that data begins with. It fails if an opcode is
// unknown or has a length beyond the data: a reader that trusts the length would allocate all
// of the memory.
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

// argument returns how many bytes of rest belong to an opcode.
func argument(k kind, rest []byte) (int, error) {
	fixed := map[kind]int{bare: 0, one: 1, two: 2, four: 4, eight: 8, short: 1, long: 4, huge: 8, frame: 8}
	n, ok := fixed[k]
	switch {
	case k == unknown:
		return 0, fmt.Errorf("it is none")
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
		return 0, fmt.Errorf("it is cut off")
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
		return 0, fmt.Errorf("it names %d bytes, and there are %d", length, len(rest)-n)
	}
	if k == frame {
		length = 0
	}
	return n + int(length), nil
}
