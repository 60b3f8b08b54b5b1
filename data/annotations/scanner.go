package annotations

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// scanner reads JSON values from a stream and knows where it is. It keeps texts whose
// bytes are wrong out of the result, and reads on: soft is the first such fault.
type scanner struct {
	in     *bufio.Reader
	offset int64 // of the next byte in the file
	line   int   // of the next byte, from 1
	depth  int
	soft   *fault
	word   []byte // memory for literals
}

// fault describes a mistake at a place in a file.
type fault struct {
	what, remedy string
	offset       int64
	line         int
}

// faultf returns a fault at the next byte.
func (s *scanner) faultf(format string, args ...any) *fault {
	return &fault{what: fmt.Sprintf(format, args...), offset: s.offset, line: s.line}
}

// softf keeps the first fault of a text, at the next byte, and lets the scanner read on.
func (s *scanner) softf(remedy, format string, args ...any) {
	if s.soft == nil {
		s.soft = s.faultf(format, args...)
		s.soft.remedy = remedy
	}
}

// errEnd is the end of a file inside a value.
const errEnd = "the file ends here, in the middle of an entry"

// next reads a byte.
func (s *scanner) next() (byte, *fault) {
	b, err := s.in.ReadByte()
	if err != nil {
		return 0, s.ended(err)
	}
	s.offset++
	if b == '\n' {
		s.line++
	}
	return b, nil
}

func (s *scanner) ended(err error) *fault {
	if errors.Is(err, io.EOF) {
		f := s.faultf(errEnd)
		f.remedy = "the file may be cut off: copy or download it again"
		return f
	}
	return s.faultf("cannot be read: %v", err)
}

// peek returns the first byte after white space without reading it.
func (s *scanner) peek() (byte, *fault) {
	for {
		b, err := s.in.ReadByte()
		if err != nil {
			return 0, s.ended(err)
		}
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return b, s.unread()
		}
		s.offset++
		if b == '\n' {
			s.line++
		}
	}
}

func (s *scanner) unread() *fault {
	if err := s.in.UnreadByte(); err != nil {
		return s.faultf("cannot be read: %v", err)
	}
	return nil
}

// atEnd reports whether only white space is left.
func (s *scanner) atEnd() bool {
	_, err := s.peek()
	return err != nil && err.what == errEnd
}

// expect reads white space and then a byte that must be want.
func (s *scanner) expect(want byte, where string) *fault {
	b, err := s.peek()
	if err != nil {
		return err
	}
	if b != want {
		return s.faultf("found %s, want %q %s", s.nextRune(), want, where)
	}
	_, err = s.next()
	return err
}

// nextRune describes the next character for a message.
func (s *scanner) nextRune() string {
	head, _ := s.in.Peek(utf8.UTFMax)
	r, size := utf8.DecodeRune(head)
	switch {
	case len(head) == 0:
		return "the end of the file"
	case r == utf8.RuneError && size <= 1:
		return fmt.Sprintf("the byte 0x%02X, which is not UTF-8", head[0])
	case r == '\ufeff':
		return "a byte order mark (U+FEFF)"
	case unicode.IsPrint(r):
		return fmt.Sprintf("%q", r)
	}
	return fmt.Sprintf("the character %U", r)
}
