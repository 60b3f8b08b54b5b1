// Package jsonrows finds the rows of a JSON file, so that they can be read at random: the items of
// a list, the lines of JSON lines, or the members of an object and the items of their lists. Memory
// holds 16 bytes a row, and the names of an object's members.
//
// It looks for quotation marks and brackets alone. A row is checked when it is read.
package jsonrows

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/modular-bridging/bridge/adapters"
)

// Row is the place of a value in a file.
type Row struct {
	Offset int64
	Size   int32
	Line   int32 // on which it begins, from 1
}

// Member is a member of the object that a file holds.
type Member struct {
	Name  string
	Value Row
	Items []Row // of its value, if that is a list; else nil
}

// File is a JSON file whose rows are known. Several goroutines may read it at once.
type File struct {
	Path   string
	Digest string // of all bytes
	// List says that the file holds one list. Otherwise it holds one object or JSON lines.
	List    bool
	Rows    []Row    // the items of the list; else the values of the file
	Members []Member // of the first value, if it is an object and the file holds no more than that
	file    *os.File
}

// Open reads a file and finds its rows. The error has kind NotFound if there is no file, and
// Corrupt or Invalid, with the offset, if it is cut off or is no JSON.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "annotations: %w", err).
			WithRemedy("a relative path begins at the working folder")
	}
	if info, statErr := f.Stat(); statErr == nil && !info.Mode().IsRegular() {
		return nil, errors.Join(adapters.Errorf(adapters.Invalid, "%s is a folder or no regular file, want a JSON file", path), f.Close())
	}
	sum := sha256.New()
	x := &File{Path: path, file: f}
	s := &scanner{in: io.TeeReader(f, sum), path: path, buf: make([]byte, 1<<20), line: 1}
	if err := x.scan(s); err != nil {
		_ = f.Close() // only read
		return nil, err
	}
	x.Digest = hex.EncodeToString(sum.Sum(nil)[:16])
	return x, nil
}

// Close closes the file.
func (x *File) Close() error { return x.file.Close() }

// Read returns the bytes of a row.
func (x *File) Read(r Row) ([]byte, error) {
	data := make([]byte, r.Size)
	if _, err := x.file.ReadAt(data, r.Offset); err != nil {
		return nil, fmt.Errorf("cannot be read (the file may have changed): %w", err)
	}
	return data, nil
}

// Member returns a member of the object that the file holds; nil if it has none of that name.
func (x *File) Member(name string) *Member {
	for i := range x.Members {
		if x.Members[i].Name == name {
			return &x.Members[i]
		}
	}
	return nil
}

// Inside returns the rows of the list that a member of a row's object has; nil if it has none.
func (x *File) Inside(r Row, name string) ([]Row, error) {
	data, err := x.Read(r)
	if err != nil {
		return nil, err
	}
	s := &scanner{in: bytes.NewReader(nil), path: x.Path, buf: data, n: len(data), base: r.Offset, line: r.Line}
	if b, _ := s.peek(); b != '{' {
		return nil, s.errorf("found %q, want an object", b)
	}
	var rows []Row
	err = s.members(func(m Member) {
		if m.Name == name {
			rows = m.Items
		}
	})
	return rows, err
}

// scan finds the rows.
func (x *File) scan(s *scanner) error {
	s.skipMark()
	b, ok := s.peek()
	switch {
	case !ok && s.failed == nil:
		return adapters.Errorf(adapters.Invalid, "%s is empty, want JSON", x.Path)
	case b == '[':
		x.List = true
		if err := s.items(func(r Row) { x.Rows = append(x.Rows, r) }); err != nil {
			return err
		}
		if b, ok := s.peek(); ok {
			return s.errorf("found %q after the end of the list", b)
		}
		return s.failed
	case b == '{':
		return x.scanObjects(s)
	case s.failed != nil:
		return s.failed
	}
	return s.errorf("found %q, want [ or { as JSON has it", b)
}

// scanObjects finds the values of a file that begins with an object.
func (x *File) scanObjects(s *scanner) error {
	for {
		b, ok := s.peek()
		if !ok {
			break
		}
		if b != '{' {
			return s.errorf("found %q, want another object or the end of the file", b)
		}
		if len(x.Rows) > 0 {
			s.begun = Row{Offset: s.offset(), Line: s.line}
		}
		var members []Member
		row, err := s.row(func() error {
			if len(x.Rows) > 0 {
				return s.skipValue()
			}
			return s.members(func(m Member) { members = append(members, m) })
		})
		if err != nil {
			return err
		}
		if x.Rows = append(x.Rows, row); len(x.Rows) == 1 {
			x.Members = members
		} else {
			x.Members = nil
		}
	}
	return s.failed
}
