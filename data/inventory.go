package data

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// Entry identifies a row of a data set by content: it is the same after the files were
// copied, moved or touched.
type Entry struct {
	Picture string `json:"picture"` // name, relative to the image folder
	Texts   string `json:"texts"`   // digest of captions, questions, answers and image_id
	Bytes   string `json:"bytes"`   // digest of the file's size and bytes; of a file above 256 KiB, of 4 blocks of 64 KiB
}

// Itemized is a data set that can tell which entry differs from that of another time.
type Itemized interface {
	Dataset
	Contents
	Entries() []Entry // one for each row
}

// Contents gives digests of a data set beside [Dataset.Digest].
type Contents interface {
	// ContentDigest identifies everything that a run trains on: texts, pictures and order.
	ContentDigest() string
	// OldDigest returns the digest that bridge recorded up to commit 03ee870. For files it
	// is one of absolute paths, sizes and times.
	OldDigest() string
}

// ContentDigest identifies the texts, pictures and order of a data set that implements
// [Contents]. Of others it returns the digest, which identifies pictures and order.
func ContentDigest(d Dataset) string {
	if c, ok := d.(Contents); ok {
		return c.ContentDigest()
	}
	return d.Digest()
}

// OldDigest returns the digest by which bridge knew a data set up to commit 03ee870.
func OldDigest(d Dataset) string {
	if c, ok := d.(Contents); ok {
		return c.OldDigest()
	}
	return d.Digest()
}

// Inventory records a data set as a run found it: the rows in their order, and the pictures
// that the run leaves out. A data set that is opened with an inventory has the same
// rows. The row of a picture that is left out stays, but its picture must not be read: its
// entry in the annotations and its file may have changed or may be gone.
type Inventory struct {
	Entries []Entry
	LeftOut []LeftOut
}

// records returns what the annotations said about the pictures that are left out, by name.
func (n *Inventory) records() map[string]Record {
	all := map[string]Record{}
	for _, l := range n.LeftOut {
		all[l.Picture] = l.Record
	}
	return all
}

// WriteEntries writes entries as JSON lines.
func WriteEntries(w io.Writer, entries []Entry) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for _, e := range entries {
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// ReadEntries reads what [WriteEntries] wrote.
func ReadEntries(r io.Reader) (entries []Entry, err error) {
	decoder := json.NewDecoder(bufio.NewReader(r))
	for {
		var e Entry
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return entries, nil
		} else if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
}

// Entries implements [Itemized].
func (s *fileSet) Entries() []Entry { return s.entries }

// Digest returns a digest of the pictures' bytes, their order and the encoder's size.
func (s *fileSet) Digest() string {
	sum := sha256.New()
	for _, e := range s.entries {
		fmt.Fprintln(sum, e.Bytes)
	}
	return hex.EncodeToString(sum.Sum(nil)) + sizeKey(s.reader.Spec)
}

// ContentDigest implements [Contents].
func (s *fileSet) ContentDigest() string {
	sum := sha256.New()
	for _, e := range s.entries {
		fmt.Fprintf(sum, "%q %s %s\n", e.Picture, e.Texts, e.Bytes)
	}
	return hex.EncodeToString(sum.Sum(nil)) + sizeKey(s.reader.Spec)
}

// OldDigest implements [Contents].
func (s *fileSet) OldDigest() string {
	sum := sha256.New()
	for i, info := range s.infos {
		if info != nil {
			fmt.Fprintln(sum, s.paths[i], info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(sum.Sum(nil)) + sizeKey(s.reader.Spec)
}

// textDigest returns a digest of everything that the annotations say about a picture, except
// its name.
func (s *fileSet) textDigest(i int) string {
	record := s.records[i]
	record.ID, record.ImageID = "", 0 // ImageID numbers the image_ids of this file
	sum := sha256.New()
	fmt.Fprintf(sum, "%q", s.imageIDs[i])
	writeValue(sum, reflect.ValueOf(record))
	return shortDigest(sum.Sum(nil))
}

// writeValue writes a value field by field. It leaves out fields that are zero, so that a new
// field changes no digest of records without it.
func writeValue(w io.Writer, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				fmt.Fprintf(w, ";%s=", v.Type().Field(i).Name)
				writeValue(w, v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		fmt.Fprintf(w, "[%d", v.Len())
		for i := range v.Len() {
			fmt.Fprint(w, ",")
			writeValue(w, v.Index(i))
		}
	case reflect.String:
		fmt.Fprintf(w, "%q", v.String())
	default:
		fmt.Fprintf(w, "%v", v)
	}
}

// differenceError is the error of an entry that differs from the inventory's.
type differenceError struct{ err *adapters.Error }

func (d differenceError) Error() string { return d.err.Error() }
func (d differenceError) Unwrap() error { return d.err }

// differs reports whether err is a difference from the inventory, not a broken picture.
func differs(err error) bool { return errors.As(err, new(differenceError)) }

// difference returns the error for an entry that differs.
func (s *fileSet) difference(row int, format string, args ...any) error {
	return differenceError{adapters.Errorf(adapters.Invalid, "%s now than when the run was started: picture %d, %s",
		s.holdOther(), row, fmt.Sprintf(format, args...)).
		WithRemedy("bring the data back as it was, or start a new run with --out")}
}

// holdOther names the annotation files, as the beginning of a sentence.
func (s *fileSet) holdOther() string {
	if len(s.files) == 2 {
		return fmt.Sprintf("%s and %s hold other data", s.files[0], s.files[1])
	}
	return s.name + " holds other data"
}

// matchRows gives the set the rows of an inventory, in its order. It returns an error for the
// first entry that is missing, new or in another place.
func (s *fileSet) matchRows(was *Inventory) error {
	records := was.records()
	paths := map[string]string{} // of the pictures that the annotations name now
	keep := make([]bool, len(s.names))
	for i, name := range s.names {
		_, leftOut := records[name]
		paths[name], keep[i] = s.paths[i], !leftOut
	}
	s.filter(keep)
	now := *s
	s.paths, s.names, s.imageIDs, s.records = nil, nil, nil, nil
	next := 0 // row of now
	for i, e := range was.Entries {
		if record, leftOut := records[e.Picture]; leftOut {
			s.addRow(paths[e.Picture], e.Picture, "", record)
			continue
		}
		switch {
		case next == len(now.names):
			return s.difference(i, "%q, is missing", e.Picture)
		case now.names[next] != e.Picture:
			return s.difference(i, "is %q, was %q", now.names[next], e.Picture)
		}
		s.addRow(now.paths[next], e.Picture, now.imageIDs[next], now.records[next])
		next++
	}
	if next < len(now.names) {
		return s.difference(len(was.Entries), "%q, is new", now.names[next])
	}
	return nil
}

func (s *fileSet) addRow(path, name, imageID string, record Record) {
	s.paths, s.names = append(s.paths, path), append(s.names, name)
	s.imageIDs, s.records = append(s.imageIDs, imageID), append(s.records, record)
}

// compare returns an error if a picture or its texts differ from an inventory's: a
// difference, or the picture's own error if it cannot be decoded any more.
func (s *fileSet) compare(row int, now pictureCheck, was Entry) error {
	if s.textDigest(row) != was.Texts {
		return s.difference(row, "%q, has other captions, questions, answers or image_id; now it has %s", was.Picture, s.brief(row))
	}
	if now.digest == was.Bytes {
		return nil
	}
	if _, err := s.reader.decode(s.paths[row]); err != nil {
		return err
	}
	return s.difference(row, "%q, has other bytes", was.Picture)
}

// brief describes the texts of a row in a message.
func (s *fileSet) brief(row int) string {
	var parts []string
	if id := s.imageIDs[row]; id != "" {
		parts = append(parts, "image_id "+quoted(id))
	}
	r := s.records[row]
	parts = appendFirst(parts, r.Captions, "caption", quoted)
	parts = appendFirst(parts, r.Questions, "question", func(q QA) string {
		answers := q.Answers
		if len(answers) == 0 {
			answers = []string{q.Answer}
		}
		return quoted(q.Question) + " (" + strings.Join(appendFirst(nil, answers, "answer", quoted), "") + ")"
	})
	return strings.Join(parts, "; ")
}

// appendFirst appends a text that names the first of all, and how many there are. It appends
// nothing if there are none.
func appendFirst[T any](parts []string, all []T, what string, text func(T) string) []string {
	const shown = 3
	if len(all) == 0 {
		return parts
	}
	texts := make([]string, min(shown, len(all)))
	for i := range texts {
		texts[i] = text(all[i])
	}
	if len(all) > 1 {
		what += "s"
	}
	list := what + " " + strings.Join(texts, ", ")
	if more := len(all) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return append(parts, list)
}

func quoted(text string) string { return strconv.Quote(shorten(text)) }
