package official

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
)

// flickr is Flickr30k's results_20130124.token: lines of FILE#NUMBER, a tab, and a caption. Each
// picture is a record, with all its captions, in the order of their first lines. A damaged line is a
// bad record. Memory holds the texts.
type flickr struct {
	format   string
	images   parts.Folder
	pictures []flickrPicture
	rows     map[string]int // by name of the picture
	sum      hash.Hash
}

// flickrPicture is a picture and its captions.
type flickrPicture struct {
	file     string // of captions
	offset   int64  // of its first line
	name     string
	captions []string
	bad      error // of a damaged line; nil for a picture
}

var _ record.Reader = (*flickr)(nil)

// openFlickr reads files of captions.
func openFlickr(format string, paths []string, images parts.Folder) (record.Reader, error) {
	f := &flickr{format: format, images: images, rows: map[string]int{}, sum: sha256.New()}
	for _, path := range paths {
		if err := f.read(path); err != nil {
			return nil, err
		}
	}
	if len(f.pictures) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "%s holds no caption", strings.Join(paths, ", "))
	}
	return f, nil
}

// read reads a file.
func (f *flickr) read(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "annotations: %w", err).
			WithRemedy("a relative path begins at the working folder")
	}
	_, _ = f.sum.Write(data) // never fails
	offset := int64(0)
	n, first := 0, true // the first line tells whether the file is of this format
	for line := range strings.Lines(string(data)) {
		n++
		begin := offset
		offset += int64(len(line))
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		name, caption, err := flickrLine(line)
		if err != nil && first {
			return adapters.Errorf(adapters.Invalid, "%s: line %d: %w", path, n, err)
		}
		first = false
		if err != nil {
			f.pictures = append(f.pictures, flickrPicture{file: path, offset: begin, bad: fmt.Errorf("line %d: %w", n, err)})
			continue
		}
		i, ok := f.rows[name]
		if !ok {
			i = len(f.pictures)
			f.rows[name] = i
			f.pictures = append(f.pictures, flickrPicture{file: path, offset: begin, name: name})
		}
		f.pictures[i].captions = append(f.pictures[i].captions, caption)
	}
	return nil
}

// Format returns "flickr30k".
func (f *flickr) Format() string { return f.format }

// Len returns the number of pictures.
func (f *flickr) Len() int { return len(f.pictures) }

// Record returns picture i and its captions.
func (f *flickr) Record(i int) (record.Record, error) {
	x := f.pictures[i]
	if x.bad != nil {
		r := record.Record{File: x.file, Offset: x.offset}
		return record.Record{}, r.Bad(i, record.Damaged, x.bad)
	}
	p, err := f.images.FirstOf(x.name, "flickr30k-images/"+x.name)
	r, err := about(p, err, x.name, parts.Captions(x.captions))
	r.File, r.Offset = x.file, x.offset
	if err != nil {
		return record.Record{}, r.Bad(i, parts.Why(err), err)
	}
	r.Key = strconv.Itoa(i)
	return r, nil
}

// Digest identifies the bytes of all files.
func (f *flickr) Digest() string { return hex.EncodeToString(f.sum.Sum(nil)[:16]) }

// Warnings returns nothing: nothing is passed over.
func (f *flickr) Warnings() []string { return nil }

// Close does nothing: no file is open.
func (f *flickr) Close() error { return nil }

// flickrLine splits a line.
func flickrLine(line string) (name, caption string, err error) {
	if !utf8.ValidString(line) {
		return "", "", errors.New("it is not UTF-8")
	}
	head, caption, ok := strings.Cut(line, "\t")
	if !ok {
		return "", "", errors.New("it has no tab, want FILE#NUMBER, a tab and a caption")
	}
	name, _, ok = strings.Cut(head, "#")
	if !ok || name == "" {
		return "", "", fmt.Errorf("it begins with %q, want FILE#NUMBER", head)
	}
	return name, caption, nil
}
