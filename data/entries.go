package data

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/annotations"
	"github.com/modular-bridging/bridge/internal/printable"
)

// texts reads annotation files into the records of a data set.
type texts struct {
	files  Files
	set    *fileSet
	rows   map[string]int   // path → record
	ids    map[string]int32 // image_id → ImageID
	report func(problem error) (goOn bool)
	passed passedOver
}

// passedOver counts what annotation files have and a data set leaves out.
type passedOver struct{ captions, questions, answers, unanswered, imageIDs int }

// DisplayName returns the name of the data set, for people.
func (f Files) DisplayName() string {
	return cmp.Or(f.Name, filepath.Base(cmp.Or(f.Captions, f.Questions)))
}

// readAll reads the annotation files into records. It calls report with each problem, and
// returns the problem if report returns false.
func (s *fileSet) readAll(f Files, report func(problem error) (goOn bool)) error {
	t := &texts{files: f, set: s, rows: map[string]int{}, ids: map[string]int32{}, report: report}
	if f.Captions != "" {
		if err := t.read(f.Captions, annotations.Captions); err != nil {
			return err
		}
	}
	if f.Questions != "" {
		if err := t.read(f.Questions, annotations.Questions); err != nil {
			return err
		}
	}
	s.warnings = append(s.warnings, t.passed.warnings(s.name)...)
	return nil
}

// wantCaptions returns an error if a file of captions holds none.
func (s *fileSet) wantCaptions(f Files) error {
	if f.Captions == "" || slices.ContainsFunc(s.records, func(r Record) bool { return len(r.Captions) > 0 }) {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "%s holds no caption", f.Captions).
		WithRemedy("give questions by the key questions, and leave annotations out if there are no captions")
}

// shorten cuts a text after 60 bytes, for messages.
func shorten(text string) string { return printable.Clip(text, 60) }

// read reads one annotation file.
func (t *texts) read(file string, content annotations.Content) error {
	r, err := annotations.Open(file, content)
	if err != nil {
		if t.report(err) {
			return nil
		}
		return err
	}
	defer func() { _ = r.Close() }() // only read
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			t.set.warnings = append(t.set.warnings, r.Warnings()...)
			return nil
		}
		if err == nil {
			if err = t.add(e); err != nil {
				err = adapters.Errorf(adapters.Invalid, "%s: entry %d (line %d): %w", file, e.Index, e.Line, err)
			}
		}
		if err != nil && !t.report(err) {
			return err
		}
	}
}

// add merges an entry into the record of its picture.
func (t *texts) add(e annotations.Entry) error {
	path, err := picturePath(t.files.Images, e.Image)
	if err != nil {
		return err
	}
	x := &t.set.records[t.row(path, e)]
	for _, c := range e.Captions {
		if t.files.Process {
			c = ProcessCaption(c)
		}
		switch {
		case blank(c):
			t.passed.captions++
		case !slices.Contains(x.Captions, c):
			x.Captions = append(x.Captions, c)
		}
	}
	if qa, ok := t.question(e); ok {
		x.Questions = append(x.Questions, qa)
	}
	return nil
}

// question returns the question of an entry. It reports false if there is none, or if it or
// all its answers are empty.
func (t *texts) question(e annotations.Entry) (QA, bool) {
	if e.Question == "" && e.Answers == nil {
		return QA{}, false
	}
	question := e.Question
	if t.files.Process {
		question = ProcessQuestion(question)
	}
	if blank(question) {
		t.passed.questions++
		return QA{}, false
	}
	given := slices.DeleteFunc(e.Answers, blank)
	t.passed.answers += len(e.Answers) - len(given)
	if len(given) == 0 {
		t.passed.unanswered++
		return QA{}, false
	}
	return NewQA(question, given, e.Kind), true
}

// row returns the record of a picture, which it adds if there is none.
func (t *texts) row(path string, e annotations.Entry) int {
	s := t.set
	row, ok := t.rows[path]
	if ok {
		if e.ImageID != "" && norm.NFC.String(e.ImageID) != s.imageIDs[row] {
			t.passed.imageIDs++
		}
		return row
	}
	row = len(s.records)
	t.rows[path] = row
	s.paths, s.names, s.imageIDs = append(s.paths, path), append(s.names, e.Image), append(s.imageIDs, norm.NFC.String(e.ImageID))
	key := imageKey(e.ImageID, path)
	id, ok := t.ids[key]
	if !ok {
		id = int32(len(t.ids))
		t.ids[key] = id
	}
	s.records = append(s.records, Record{ID: e.Image, ImageID: id})
	return row
}

// imageKey returns a key that is equal for entries with the same image_id. A picture without
// an image_id has a key of its own.
func imageKey(id, path string) string {
	if id == "" {
		return "path:" + path
	}
	return norm.NFC.String(id)
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }

// warnings returns a sentence for each kind of thing that was left out.
func (p passedOver) warnings(name string) []string {
	var all []string
	for _, w := range []struct {
		n    int
		what string
	}{
		{p.captions, "empty captions"},
		{p.questions, "empty questions"},
		{p.answers, "empty answers"},
		{p.unanswered, "questions without an answer"},
		{p.imageIDs, "image_ids that differ from that of the picture's first entry"},
	} {
		if w.n > 0 {
			all = append(all, fmt.Sprintf("%s: %s left out: %d", name, w.what, w.n))
		}
	}
	return all
}

// Warnings returns what a data set of files left out of its annotations: one sentence for each
// kind, with its number. Pictures that cannot be read are not among it.
func Warnings(d Dataset) []string {
	if s, ok := d.(*fileSet); ok {
		return s.warnings
	}
	return nil
}
