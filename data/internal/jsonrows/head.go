package jsonrows

import (
	"errors"
	"io"
	"math"
	"os"

	"github.com/modular-bridging/bridge/adapters"
)

// Head is the begin of a JSON file, by which its layout is told.
type Head struct {
	List bool // the file is a list
	// First is an item of the list, or a line; nil if the list is empty, or if the file holds one
	// object.
	First []byte
	// Of a file that holds one object: its members, and the first item of each list, or the value
	// if it is an object.
	Members []HeadMember
}

// HeadMember is a member of an object.
type HeadMember struct {
	Name  string
	List  bool   // the value is a list
	First []byte // its first item, or the value itself if it is none; nil if it is longer than 1 MiB
}

// Peek reads the begin of a file: up to the first of the first few items of a list, or lines, that is
// sound. If none of them is, the first counts. A file with one object is read to its end.
func Peek(path string, sound func(row []byte) bool) (*Head, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "annotations: %w", err)
	}
	defer f.Close()
	p := &peeker{file: f, sound: sound}
	s := &scanner{in: f, path: path, buf: make([]byte, 64<<10), line: 1}
	s.skipMark()
	switch b, ok := s.peek(); {
	case ok && b == '[':
		return p.list(s)
	case ok && b == '{':
		h, err := p.object(s)
		if err != nil && NamesLines(path) {
			if lines, linesErr := p.namedLines(path); linesErr == nil {
				return lines, nil
			}
		}
		return h, err
	case ok:
		if NamesLines(path) {
			if h, err := p.namedLines(path); err == nil {
				return h, nil
			}
		}
		return nil, s.errorf("found %q, want [ or { as JSON has it", b)
	case s.failed != nil:
		return nil, s.failed
	}
	return nil, adapters.Errorf(adapters.Invalid, "%s is empty, want JSON", path)
}

// errEnough ends the reading of rows.
var errEnough = errors.New("enough is known")

// peeker looks for a sound row.
type peeker struct {
	file  io.ReaderAt
	sound func(row []byte) bool
	rows  int    // that were looked at
	first []byte // the sound row, or else the first
}

// look looks at a row. It returns errEnough if no further row is needed.
func (p *peeker) look(row Row) error {
	data, err := readRow(p.file, row, 1<<30)
	if err != nil {
		return err
	}
	sound := p.sound(data)
	if p.rows++; p.rows == 1 || sound {
		p.first = data
	}
	if sound || p.rows == looked {
		return errEnough
	}
	return nil
}

// done returns the head of a file of rows, and err unless it says that enough is known, or that the
// file is damaged behind its first row.
func (p *peeker) done(list bool, err error) (*Head, error) {
	if errors.Is(err, errEnough) || p.first != nil {
		err = nil
	}
	return &Head{List: list, First: p.first}, err
}

func (p *peeker) list(s *scanner) (*Head, error) {
	return p.done(true, s.elements('[', ']', func() error {
		row, err := s.row(s.skipValue)
		if err == nil {
			err = p.look(row)
		}
		return err
	}))
}

// namedLines looks at the lines of a file that does not begin with an object.
func (p *peeker) namedLines(path string) (*Head, error) {
	s := newScanner(io.NewSectionReader(p.file, 0, math.MaxInt64), path)
	s.skipMark()
	h, err := p.done(false, s.lines(p.look))
	if err == nil && !p.sound(p.first) {
		err = errNoLines
	}
	return h, err
}

// object reads an object. If more follows it, the rest are lines.
func (p *peeker) object(s *scanner) (*Head, error) {
	const most = 1 << 20
	h := &Head{}
	whole, err := s.row(func() error {
		return s.elements('{', '}', func() error {
			m, first, err := s.headMember()
			if err == nil && first.Size > 0 && first.Size < most {
				m.First, err = readRow(p.file, first, most)
			}
			h.Members = append(h.Members, m)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if _, more := s.peek(); !more {
		return h, s.failed
	}
	err = p.look(whole)
	if err == nil {
		err = s.lines(p.look)
	}
	return p.done(false, err)
}

// headMember reads a member, and returns the place of the value that First is.
func (s *scanner) headMember() (m HeadMember, first Row, err error) {
	if m.Name, err = s.key(); err != nil {
		return m, first, err
	}
	if err = s.expect(':'); err != nil {
		return m, first, err
	}
	value, err := s.row(func() error {
		b, _ := s.peek()
		if m.List = b == '['; !m.List {
			return s.skipValue()
		}
		return s.items(func(r Row) {
			if first.Size == 0 {
				first = r
			}
		})
	})
	if !m.List {
		first = value
	}
	return m, first, err
}

func readRow(f io.ReaderAt, r Row, most int32) ([]byte, error) {
	data := make([]byte, min(r.Size, most))
	_, err := f.ReadAt(data, r.Offset)
	return data, err
}
