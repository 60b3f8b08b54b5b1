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
)

// passedOver counts what annotation files have and a data set leaves out.
type passedOver struct{ captions, questions, answers, lists int }

// newFileSet returns a data set without records.
func newFileSet(f Files, spec adapters.ImageSpec) *fileSet {
	name := cmp.Or(f.Name, filepath.Base(cmp.Or(f.Captions, f.Questions)))
	return &fileSet{name: name, spec: spec, rows: map[string]int{}, ids: map[string]int32{}}
}

// readAll reads the annotation files into records. It calls report with each problem, and
// returns the last one if report returns false.
func (s *fileSet) readAll(f Files, report func(problem error) (goOn bool)) error {
	if f.Captions != "" {
		if err := s.readFile(f, f.Captions, annotations.Captions, report); err != nil {
			return err
		}
	}
	if f.Questions != "" {
		if err := s.readFile(f, f.Questions, annotations.Questions, report); err != nil {
			return err
		}
	}
	s.counted = append(s.counted, s.passed.warnings(s.name)...)
	return nil
}

// readFile reads one annotation file, as readAll does.
func (s *fileSet) readFile(f Files, file string, content annotations.Content, report func(error) bool) error {
	r, err := annotations.Open(file, content)
	if err != nil {
		if !report(err) {
			return err
		}
		return nil
	}
	defer func() { _ = r.Close() }() // only read
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			s.counted = append(s.counted, r.Warnings()...)
			return nil
		}
		if err == nil {
			if err = s.add(f, e); err != nil {
				err = adapters.Errorf(adapters.Invalid, "%s: entry %d (line %d): %w", file, e.Index, e.Line, err)
			}
		}
		if err != nil && !report(err) {
			return err
		}
	}
}

// add merges an entry into the record of its picture.
func (s *fileSet) add(f Files, e annotations.Entry) error {
	path, err := picturePath(f.Images, e.Image)
	if err != nil {
		return err
	}
	x := &s.records[s.row(path, e)]
	for _, c := range e.Captions {
		if f.Process {
			c = ProcessCaption(c)
		}
		switch {
		case blank(c):
			s.passed.captions++
		case !slices.Contains(x.Captions, c):
			x.Captions = append(x.Captions, c)
		}
	}
	if e.Answers == nil && e.Question == "" {
		return nil
	}
	if blank(e.Question) {
		s.passed.questions++
		return nil
	}
	given := slices.DeleteFunc(slices.Clone(e.Answers), blank)
	s.passed.answers += len(e.Answers) - len(given)
	if len(given) == 0 {
		s.passed.lists++
		return nil
	}
	x.Questions = append(x.Questions, NewQA(e.Question, given, e.Kind))
	return nil
}

// row returns the record of a picture, which it adds if there is none.
func (s *fileSet) row(path string, e annotations.Entry) int {
	row, ok := s.rows[path]
	if ok {
		return row
	}
	row = len(s.records)
	s.rows[path] = row
	s.paths = append(s.paths, path)
	key := imageKey(e.ImageID, path)
	id, ok := s.ids[key]
	if !ok {
		id = int32(len(s.ids))
		s.ids[key] = id
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
		{p.captions, "captions are empty and left out"},
		{p.questions, "questions are empty and left out"},
		{p.answers, "answers are empty and left out"},
		{p.lists, "questions have no answer that is not empty, and are left out"},
	} {
		if w.n > 0 {
			all = append(all, fmt.Sprintf("%s: %d %s", name, w.n, w.what))
		}
	}
	return all
}

// Warnings returns what a data set of files left out of its annotations: one sentence for each
// kind, with its number. Pictures that cannot be read are not among it.
func Warnings(d Dataset) []string {
	if s, ok := d.(*fileSet); ok {
		return s.counted
	}
	return nil
}
