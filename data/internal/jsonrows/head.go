package jsonrows

import (
	"errors"
	"io"
	"os"

	"github.com/modular-bridging/bridge/adapters"
)

// Head is the begin of a JSON file, by which its layout is told.
type Head struct {
	List  bool   // the file is a list
	First []byte // the first item of the list, or the first line; nil if the list is empty, or if the file holds one object
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

// Peek reads the begin of a file: up to the end of the first item of a list or the first line. A
// file with one object is read to its end.
func Peek(path string) (*Head, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "annotations: %w", err)
	}
	defer f.Close()
	s := &scanner{in: f, path: path, buf: make([]byte, 64<<10), line: 1}
	s.skipMark()
	switch b, ok := s.peek(); {
	case ok && b == '[':
		return peekList(f, s)
	case ok && b == '{':
		return peekObject(f, s)
	case ok:
		return nil, s.errorf("found %q, want [ or { as JSON has it", b)
	case s.failed != nil:
		return nil, s.failed
	}
	return nil, adapters.Errorf(adapters.Invalid, "%s is empty, want JSON", path)
}

// errEnough ends the reading of a list.
var errEnough = errors.New("enough is known")

func peekList(f io.ReaderAt, s *scanner) (*Head, error) {
	h := &Head{List: true}
	err := s.elements('[', ']', func() error {
		row, err := s.row(s.skipValue)
		if err == nil {
			if h.First, err = readRow(f, row, 1<<30); err == nil {
				err = errEnough
			}
		}
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return h, err
}

func peekObject(f io.ReaderAt, s *scanner) (*Head, error) {
	const most = 1 << 20
	h := &Head{}
	whole, err := s.row(func() error {
		return s.elements('{', '}', func() error {
			m, first, err := s.headMember()
			if err == nil && first.Size > 0 && first.Size < most {
				m.First, err = readRow(f, first, most)
			}
			h.Members = append(h.Members, m)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	if _, more := s.peek(); more {
		h.Members = nil
		h.First, err = readRow(f, whole, 1<<30)
	}
	return h, err
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
