package annotations

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// Content says what the entries of a file are expected to hold. It decides which example a
// message shows.
type Content int

// The contents. An entry of either file may hold both.
const (
	Captions Content = iota
	Questions
)

// example returns an entry that bridge reads.
func (c Content) example() string {
	if c == Questions {
		return `{"image": "1.jpg", "question": "how many dogs?", "answer": "1"}`
	}
	return `{"image": "1.jpg", "caption": "a dog", "image_id": 1}`
}

// Reader reads the entries of an annotation file, one at a time. One goroutine may use it
// at a time.
type Reader struct {
	name    string
	content Content
	file    *os.File
	scan    scanner
	begun   bool
	listed  bool // the file is a list; otherwise it has JSON lines
	done    bool
	entries int    // begun
	folded  int    // entries with a key that only looks like one that bridge reads
	like    string // the first such key
}

// Open opens an annotation file. It returns an error of kind NotFound if there is none, and
// of kind Invalid if it is not JSON in UTF-8.
func Open(file string, content Content) (*Reader, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "annotations: %w", err).
			WithRemedy("a relative path begins at the working folder")
	}
	r, err := NewReader(f, file, content)
	if info, statErr := f.Stat(); statErr == nil && info.IsDir() {
		err = adapters.Errorf(adapters.Invalid, "%s is a folder, want an annotation file", file)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	r.file = f
	return r, nil
}

// NewReader returns a reader of the annotations that in gives; name stands for them in
// messages. It returns an error of kind Invalid if they are not JSON in UTF-8.
func NewReader(in io.Reader, name string, content Content) (*Reader, error) {
	r := &Reader{name: name, content: content, scan: scanner{in: bufio.NewReaderSize(in, 64<<10), line: 1}}
	if err := r.checkFormat(); err != nil {
		return nil, err
	}
	return r, nil
}

// Place is the place of an entry in its file.
type Place struct {
	Index  int   // position in the file, from 0
	Line   int   // on which it begins, from 1
	Offset int64 // of its first byte
}

// ParseEntry reads one entry, whose bytes a caller has found in a file. Errors say where in the
// file they are, and do not name the file.
func ParseEntry(data []byte, at Place, content Content) (Entry, error) {
	in := bufio.NewReaderSize(bytes.NewReader(data), max(16, len(data)))
	r := &Reader{content: content, listed: true, scan: scanner{in: in, line: at.Line, offset: at.Offset}}
	e := Entry{Index: at.Index, Line: at.Line}
	if _, err := r.read(&e); err != nil {
		return Entry{}, err
	}
	if !r.scan.atEnd() {
		return Entry{}, r.at(&e, "more follows the entry")
	}
	return e, nil
}

// Sniff returns the name of the encoding or format of a file that is no JSON in UTF-8, by its first
// bytes; or "" if it may be JSON or is not known.
func Sniff(head []byte) string {
	if name := encodingOf(head); name != "" {
		return "written in " + name
	}
	return formatOf(head)
}

// Close closes the file that [Open] opened.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// Next returns the next entry, or io.EOF after the last. After another error, Next
// continues with the entry behind the wrong one; if the rest of the file cannot be read, it
// returns io.EOF.
func (r *Reader) Next() (Entry, error) {
	if r.done {
		return Entry{}, io.EOF
	}
	if err := r.advance(); err != nil {
		r.done = true
		return Entry{}, err
	}
	e := Entry{Index: r.entries, Line: r.scan.line}
	r.entries++
	last, err := r.read(&e)
	if r.done = last; err != nil {
		return Entry{}, err
	}
	return e, nil
}

// Warnings returns what was passed over so far: one sentence for each kind, with its number.
func (r *Reader) Warnings() []string {
	if r.folded == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: keys are matched exactly, so %q is not read as %q: passed over in %d of %d entries",
		r.name, r.like, strings.ToLower(r.like), r.folded, r.entries)}
}

// advance reads up to the next entry. It returns io.EOF after the last.
func (r *Reader) advance() error {
	s := &r.scan
	switch {
	case !r.begun:
		return r.begin()
	case !r.listed && s.atEnd():
		return io.EOF
	case !r.listed:
		if b, err := s.peek(); err != nil || b != '{' {
			return r.between(s.faultf("found %s, want another entry or the end of the file", s.nextRune()),
				"in JSON lines, each line is an entry and no comma is between them")
		}
		return nil
	}
	b, err := s.peek()
	if err != nil {
		return r.between(err, "")
	}
	if b != ',' && b != ']' {
		return r.between(s.faultf("found %s, want ',' before the next entry or ']' after the last", s.nextRune()), "")
	}
	if _, err := s.next(); err != nil {
		return r.between(err, "")
	}
	if b == ']' {
		return r.end()
	}
	if b, err = s.peek(); err == nil && b == ']' {
		err = s.faultf("found ']' after a comma, want another entry")
	}
	if err != nil {
		return r.between(err, "")
	}
	return nil
}

// begin reads up to the first entry.
func (r *Reader) begin() error {
	r.begun = true
	b, err := r.scan.peek()
	if err != nil {
		return r.between(err, "")
	}
	if r.listed = b == '['; !r.listed {
		return nil
	}
	if _, err := r.scan.next(); err != nil {
		return r.between(err, "")
	}
	if b, err = r.scan.peek(); err != nil {
		return r.between(err, "")
	}
	if b == ']' {
		return r.invalid("holds an empty list")
	}
	return nil
}

// end checks that nothing follows the list.
func (r *Reader) end() error {
	if r.scan.atEnd() {
		return io.EOF
	}
	return r.between(r.scan.faultf("found %s after the end of the list", r.scan.nextRune()), "put all entries into one list")
}
