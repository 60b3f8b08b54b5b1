package jsonrows

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"

	"github.com/modular-bridging/bridge/adapters"
)

// scanner reads a JSON file in one pass.
type scanner struct {
	in     io.Reader
	path   string
	buf    []byte
	pos, n int   // of the bytes of buf that are not read, the first and the one behind the last
	base   int64 // offset of buf in the file
	line   int32 // of the next byte
	begun  Row   // the value that is read, in a file of several; its Line is 0 in other files
	failed error // of the file; io.EOF is none
}

func newScanner(in io.Reader, path string) *scanner {
	return &scanner{in: in, path: path, buf: make([]byte, 1<<20), line: 1}
}

func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

// errorf returns an error about the next byte.
func (s *scanner) errorf(format string, args ...any) error {
	if s.failed != nil {
		return s.failed
	}
	return adapters.Errorf(adapters.Invalid, "%s: line %d, byte %d: "+format, append([]any{s.path, s.line, s.offset()}, args...)...)
}

// cutOff returns the error of a file that ends in a value. Of a file of several values it says where
// the value begins: a bracket that is missing there makes all lines behind it part of the value.
func (s *scanner) cutOff() error {
	if s.failed != nil {
		return s.failed
	}
	if s.begun.Line > 0 && s.begun.Line < s.line {
		return adapters.Errorf(adapters.Corrupt, "%s: the value that begins on line %d, byte %d has no end: the file ends at byte %d (line %d)",
			s.path, s.begun.Line, s.begun.Offset, s.offset(), s.line).
			WithRemedy("look for a missing bracket or quotation mark on line %d, or copy or download the file again", s.begun.Line)
	}
	return adapters.Errorf(adapters.Corrupt, "%s is cut off: it ends at byte %d (line %d), in the middle of a value", s.path, s.offset(), s.line).
		WithRemedy("copy or download it again, or look for a missing bracket or quotation mark")
}

// fill reads more bytes if none are left. It reports false at the end of the file.
func (s *scanner) fill() bool {
	if s.pos < s.n {
		return true
	}
	if s.failed != nil {
		return false
	}
	s.base += int64(s.n)
	s.pos, s.n = 0, 0
	for s.n == 0 {
		n, err := s.in.Read(s.buf)
		s.n = n
		if err != nil && !errors.Is(err, io.EOF) {
			s.failed = adapters.Errorf(adapters.Corrupt, "%s cannot be read: %w", s.path, err)
		}
		if err != nil {
			break
		}
	}
	return s.n > 0
}

// skipMark skips a byte order mark.
func (s *scanner) skipMark() {
	if s.fill() && bytes.HasPrefix(s.buf[:s.n], []byte("\ufeff")) {
		s.pos = len("\ufeff")
	}
}

// peek returns the first byte after white space. It reports false at the end of the file.
func (s *scanner) peek() (byte, bool) {
	for s.fill() {
		switch b := s.buf[s.pos]; b {
		case '\n':
			s.line++
		case ' ', '\t', '\r':
		default:
			return b, true
		}
		s.pos++
	}
	return 0, false
}

// expect skips white space and a byte that must be want.
func (s *scanner) expect(want byte) error {
	b, ok := s.peek()
	if !ok {
		return s.cutOff()
	}
	if b != want {
		return s.errorf("found %q, want %q", b, want)
	}
	s.pos++
	return nil
}

// row returns the place of the value that read reads.
func (s *scanner) row(read func() error) (Row, error) {
	if _, ok := s.peek(); !ok {
		return Row{}, s.cutOff()
	}
	r := Row{Offset: s.offset(), Line: s.line}
	if err := read(); err != nil {
		return Row{}, err
	}
	size := s.offset() - r.Offset
	if size > math.MaxInt32 {
		return Row{}, s.errorf("a value of %d bytes ends here, want at most 2 GiB", size)
	}
	r.Size = int32(size)
	return r, nil
}

// lines reads the lines up to the end of the file, without the white space around them. Blank lines
// are left out.
func (s *scanner) lines(line func(Row) error) error {
	for {
		if _, ok := s.peek(); !ok {
			return s.failed
		}
		r := Row{Offset: s.offset(), Line: s.line}
		size := s.skipLine() - r.Offset
		if size > math.MaxInt32 {
			return s.errorf("a line of %d bytes ends here, want at most 2 GiB", size)
		}
		r.Size = int32(size)
		if err := line(r); err != nil {
			return err
		}
	}
}

// skipLine reads up to the line feed, or to the end of the file. It returns the offset behind the
// last byte that is no white space.
func (s *scanner) skipLine() (end int64) {
	for s.fill() {
		rest := s.buf[s.pos:s.n]
		i := bytes.IndexByte(rest, '\n')
		if i >= 0 {
			rest = rest[:i]
		}
		if n := len(bytes.TrimRight(rest, " \t\r")); n > 0 {
			end = s.offset() + int64(n)
		}
		s.pos += len(rest)
		if i >= 0 {
			break
		}
	}
	return end
}

// items reads a list.
func (s *scanner) items(item func(Row)) error {
	return s.elements('[', ']', func() error {
		r, err := s.row(s.skipValue)
		if err == nil {
			item(r)
		}
		return err
	})
}

// members reads an object.
func (s *scanner) members(member func(Member)) error {
	return s.elements('{', '}', func() error {
		m := Member{}
		key, err := s.key()
		if err != nil {
			return err
		}
		m.Name = key
		if err := s.expect(':'); err != nil {
			return err
		}
		m.Value, err = s.row(func() error {
			if b, _ := s.peek(); b == '[' {
				m.Items = []Row{}
				return s.items(func(r Row) { m.Items = append(m.Items, r) })
			}
			return s.skipValue()
		})
		if err == nil {
			member(m)
		}
		return err
	})
}

// key reads the name of a member.
func (s *scanner) key() (string, error) {
	if b, ok := s.peek(); !ok || b != '"' {
		if !ok {
			return "", s.cutOff()
		}
		return "", s.errorf("found %q, want a key in double quotes", b)
	}
	var raw []byte
	if err := s.skipString(&raw); err != nil {
		return "", err
	}
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return "", s.errorf("the key before here is no text: %v", err)
	}
	return name, nil
}

// elements reads what is separated by commas between two brackets.
func (s *scanner) elements(open, end byte, element func() error) error {
	if err := s.expect(open); err != nil {
		return err
	}
	if b, _ := s.peek(); b == end {
		s.pos++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		b, ok := s.peek()
		switch {
		case !ok:
			return s.cutOff()
		case b == end:
			s.pos++
			return nil
		case b != ',':
			return s.errorf("found %q, want ',' or %q", b, end)
		}
		s.pos++
	}
}

// skipValue reads a value. Of lists and objects it looks for the bracket that closes them.
func (s *scanner) skipValue() error {
	b, ok := s.peek()
	switch {
	case !ok:
		return s.cutOff()
	case b == '"':
		return s.skipString(nil)
	case b == '{' || b == '[':
		return s.skipNested()
	case b == ',' || b == ':' || b == ']' || b == '}':
		return s.errorf("found %q, want a value", b)
	}
	for s.fill() {
		switch s.buf[s.pos] {
		case ',', ':', '[', ']', '{', '}', '"', ' ', '\t', '\r', '\n':
			return nil
		}
		s.pos++
	}
	return s.failed
}

// skipNested reads a list or an object.
func (s *scanner) skipNested() error {
	for depth := 0; s.fill(); {
		switch s.buf[s.pos] {
		case '"':
			if err := s.skipString(nil); err != nil {
				return err
			}
			continue
		case '\n':
			s.line++
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if s.pos++; depth == 0 {
			return nil
		}
	}
	return s.cutOff()
}

// skipString reads a text, and appends it to keep unless that is nil.
func (s *scanner) skipString(keep *[]byte) error {
	s.take(1, keep)
	for s.fill() {
		rest := s.buf[s.pos:s.n]
		i := bytes.IndexAny(rest, "\"\\\n")
		if i < 0 {
			s.take(len(rest), keep)
			continue
		}
		found := rest[i]
		s.take(i+1, keep)
		switch found {
		case '"':
			return nil
		case '\n':
			s.line++
		case '\\':
			if s.fill() {
				s.take(1, keep)
			}
		}
	}
	return s.cutOff()
}

// take moves over n bytes.
func (s *scanner) take(n int, keep *[]byte) {
	if keep != nil {
		*keep = append(*keep, s.buf[s.pos:s.pos+n]...)
	}
	s.pos += n
}
