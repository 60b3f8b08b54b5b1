package tokenizer

import "encoding/binary"

// Requests and answers are sequences of little-endian 32-bit numbers and of
// strings with their length in front, as tools/tokenizer/src/lib.rs defines.

func putNumber(b []byte, n int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

func putString(b []byte, s string) []byte {
	return append(putNumber(b, len(s)), s...)
}

// answer reads an answer from its start.
type answer []byte

func (a *answer) number() int {
	n := binary.LittleEndian.Uint32(*a)
	*a = (*a)[4:]
	return int(n)
}

func (a *answer) string() string {
	n := a.number()
	s := string((*a)[:n])
	*a = (*a)[n:]
	return s
}
