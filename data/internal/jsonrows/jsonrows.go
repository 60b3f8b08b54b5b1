// Package jsonrows finds the rows of a JSON file, so that they can be read at random: the items of
// a list, the lines of JSON lines, or the members of an object and the items of their lists. Memory
// holds 16 bytes a row, and the names of an object's members.
//
// It looks for quotation marks and brackets alone. A row is checked when it is read. A line of JSON
// lines is a row whatever it holds, so that one damaged line spoils no other.
package jsonrows

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

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
	x, err := find(f, path, (*File).scan)
	if err != nil && NamesLines(path) {
		if lines, linesErr := find(f, path, (*File).scanNamedLines); linesErr == nil {
			x, err = lines, nil
		}
	}
	if err != nil {
		_ = f.Close() // only read
		return nil, err
	}
	return x, nil
}

// find reads a file from its start, and finds its rows by scan.
func find(f *os.File, path string, scan func(*File, *scanner) error) (*File, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s cannot be read: %w", path, err)
	}
	sum := sha256.New()
	x := &File{Path: path, file: f}
	if err := scan(x, newScanner(io.TeeReader(f, sum), path)); err != nil {
		return nil, err
	}
	x.Digest = hex.EncodeToString(sum.Sum(nil)[:16])
	return x, nil
}

// NamesLines reports whether the name of a file says that it holds JSON lines.
func NamesLines(path string) bool {
	name := strings.ToLower(filepath.Base(path))
	return strings.Contains(name, "jsonl") || strings.HasSuffix(name, ".ndjson")
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

// scanObjects finds the values of a file that begins with an object: one object, JSON lines, or
// objects of several lines each. If the first object is a line, every line behind it is a row.
func (x *File) scanObjects(s *scanner) error {
	var members []Member
	first, err := s.row(func() error {
		return s.members(func(m Member) { members = append(members, m) })
	})
	if err != nil {
		return err
	}
	x.Rows = append(x.Rows, first)
	ended := s.line
	if _, more := s.peek(); !more {
		x.Members = members
		return s.failed
	}
	if first.Line == ended && s.line > ended {
		return s.lines(func(r Row) error { x.Rows = append(x.Rows, r); return nil })
	}
	for {
		b, ok := s.peek()
		if !ok {
			return s.failed
		}
		if b != '{' {
			return s.errorf("found %q, want another object or the end of the file", b)
		}
		s.begun = Row{Offset: s.offset(), Line: s.line}
		row, err := s.row(s.skipValue)
		if err != nil {
			return err
		}
		x.Rows = append(x.Rows, row)
	}
}

// scanNamedLines finds the rows of JSON lines whose first line is damaged. The error says that none
// of the first lines is an object, so that the file is something else.
func (x *File) scanNamedLines(s *scanner) error {
	s.skipMark()
	if err := s.lines(func(r Row) error { x.Rows = append(x.Rows, r); return nil }); err != nil {
		return err
	}
	for _, row := range x.Rows[:min(looked, len(x.Rows))] {
		data, err := x.Read(row)
		if err != nil {
			return err
		}
		if isObject(data) {
			return nil
		}
	}
	return errNoLines
}

// looked is how many of the first rows of a file are looked at to tell what it holds.
const looked = 8

var errNoLines = errors.New("none of the first lines is an object")

// isObject reports whether data holds an object and nothing else, as far as brackets tell.
func isObject(data []byte) bool {
	s := &scanner{in: bytes.NewReader(nil), buf: data, n: len(data), line: 1}
	if b, ok := s.peek(); !ok || b != '{' || s.skipNested() != nil {
		return false
	}
	_, more := s.peek()
	return !more
}
