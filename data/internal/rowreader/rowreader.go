// Package rowreader makes a [record.Reader] of the rows of JSON files.
package rowreader

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/concat"
	"github.com/modular-bridging/bridge/data/internal/jsonrows"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
)

// Source is a file, and the rows of it that are records.
type Source struct {
	File *jsonrows.File
	Rows []jsonrows.Row
}

// At says which row is read.
type At struct {
	Source int          // number of its source
	Index  int          // number in its source
	Row    jsonrows.Row // its place in the file
}

// Name returns what a row is called in an error, with the line on which it begins.
func (a At) Name(what string) string { return fmt.Sprintf("%s (line %d)", what, a.Row.Line) }

// Parse makes a record of a row. A record that leaves its key empty has the row's number as its
// key. If Parse returns an error with a record, the record's key names it.
type Parse func(data []byte, at At) (record.Record, error)

// Reader reads rows at random. It implements [record.Reader].
type Reader struct {
	format   string
	sources  []Source
	rows     concat.Rows // of the sources
	parse    Parse
	files    []*jsonrows.File // all, also those without rows
	warnings []string
}

var _ record.Reader = (*Reader)(nil)

// New returns a reader, which closes the files of sources and others. The digest covers all of
// them. Without a row it returns an error, and closes the files.
func New(format string, sources []Source, parse Parse, others ...*jsonrows.File) (*Reader, error) {
	r := &Reader{format: format, sources: sources, parse: parse}
	for _, s := range sources {
		r.rows.Add(len(s.Rows))
		r.files = append(r.files, s.File)
	}
	r.files = append(r.files, others...)
	if r.Len() == 0 {
		return nil, errors.Join(adapters.Errorf(adapters.Invalid, "%s holds no row", r.files[0].Path), r.Close())
	}
	return r, nil
}

// Warn adds a warning.
func (r *Reader) Warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// Format returns the name of the format.
func (r *Reader) Format() string { return r.format }

// Len returns the number of rows.
func (r *Reader) Len() int { return r.rows.Len() }

// Record returns row i.
func (r *Reader) Record(i int) (record.Record, error) {
	n, in := r.rows.Find(i)
	s := r.sources[n]
	at := At{Source: n, Index: in, Row: s.Rows[in]}
	data, err := s.File.Read(at.Row)
	var rec record.Record
	if err == nil {
		rec, err = r.parse(data, at)
	}
	rec.File, rec.Offset = s.File.Path, at.Row.Offset
	if err == nil && len(rec.Parts) == 0 {
		err = parts.Because(record.Empty, "the row has neither a text nor a picture")
	}
	if err != nil {
		return record.Record{}, rec.Bad(i, parts.Why(err), err)
	}
	if rec.Key == "" {
		rec.Key = strconv.Itoa(i)
	}
	return rec, nil
}

// Digest identifies the bytes of all files, and the number of rows.
func (r *Reader) Digest() string {
	sum := sha256.New()
	for _, f := range r.files {
		fmt.Fprintln(sum, f.Digest)
	}
	fmt.Fprintln(sum, r.Len())
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Warnings returns what was passed over.
func (r *Reader) Warnings() []string { return r.warnings }

// Close closes the files.
func (r *Reader) Close() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// OpenAll opens files. If one cannot be opened, it closes the others.
func OpenAll(paths []string) ([]*jsonrows.File, error) {
	var files []*jsonrows.File
	for _, path := range paths {
		f, err := jsonrows.Open(path)
		if err != nil {
			CloseAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// CloseAll closes files that were only read.
func CloseAll(files []*jsonrows.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
