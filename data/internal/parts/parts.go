// Package parts makes the parts of records that several formats share: captions, questions with
// the answers of several people, and pictures in a folder.
package parts

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/internal/printable"
)

// Captions returns the captions of a picture, equally likely, without blank ones; nil if none is
// left. The slice has at most one part, so that callers can append it.
func Captions(texts []string) []record.Part {
	p := record.Part{Target: true}
	for _, t := range texts {
		if strings.TrimSpace(t) != "" {
			p.Texts = append(p.Texts, record.Text{Text: t, Weight: 1})
		}
	}
	if len(p.Texts) == 0 {
		return nil
	}
	return []record.Part{p}
}

// QA returns a question and its answers: the distinct ones in the order in which they first
// appear, weighted by the number of people who gave them. Blank answers are left out. Without an
// answer, it returns the question alone.
func QA(question, kind string, answers []string) []record.Part {
	q := record.Of(question, record.Question, false)
	q.Kind = kind
	a := Answers(answers, nil)
	if len(a.Texts) == 0 {
		return []record.Part{q}
	}
	return []record.Part{q, a}
}

// Answers returns the distinct answers with the sum of their weights; nil weights count people.
func Answers(answers []string, weights []float64) record.Part {
	p := record.Part{Target: true, Role: record.Answer}
	at := map[string]int{}
	for i, a := range answers {
		if strings.TrimSpace(a) == "" {
			continue
		}
		n, ok := at[a]
		if !ok {
			n = len(p.Texts)
			at[a] = n
			p.Texts = append(p.Texts, record.Text{Text: a})
		}
		if weights == nil {
			p.Texts[n].Weight++
		} else {
			p.Texts[n].Weight += weights[i]
		}
	}
	return p
}

// Picture returns the part of a picture.
func Picture(p *record.Picture) record.Part { return record.Part{Picture: p} }

// Folder is the folder of the pictures that a file names.
type Folder string

// Picture returns a picture by its name in the folder. It refuses URLs, and names that are
// absolute or leave the folder, so that a downloaded file cannot read other files. It does not
// look for the file.
func (f Folder) Picture(name string) (*record.Picture, error) {
	switch {
	case name == "":
		return nil, Because(record.MissingPicture, "the picture has no name, want the name of a file")
	case strings.Contains(name, "://") || strings.HasPrefix(name, "data:"):
		return nil, Because(record.MissingPicture, "%w", adapters.Errorf(adapters.Unsupported, "the picture %q is a URL, want the name of a file in the folder of pictures", short(name)).
			WithRemedy("download the pictures with img2dataset, and give the shards that it writes"))
	case filepath.IsAbs(name):
		return nil, Because(record.MissingPicture, "the picture %q is an absolute path, want one relative to the folder of pictures", short(name))
	case !filepath.IsLocal(name):
		return nil, Because(record.MissingPicture, "the picture %q leaves the folder of pictures", short(name))
	}
	path := filepath.Join(string(f), name)
	return &record.Picture{Name: name, Open: func() (io.ReadCloser, error) { return openFile(path) }}, nil
}

// FirstOf returns the picture whose file is there first, by names in the folder: data sets are
// unpacked in different ways.
func (f Folder) FirstOf(names ...string) (*record.Picture, error) {
	var all []*record.Picture
	for _, name := range names {
		p, err := f.Picture(name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return &record.Picture{Name: names[0], Open: func() (io.ReadCloser, error) {
		var first error
		for _, p := range all {
			in, err := p.Open()
			if adapters.KindOf(err) != adapters.NotFound {
				return in, err
			}
			if first == nil {
				first = err
			}
		}
		return nil, first
	}}, nil
}

// openFile opens a file. It refuses a folder, which the system would open.
func openFile(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "picture: %w", err)
	}
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		_ = f.Close() // only read
		return nil, adapters.Errorf(adapters.Invalid, "picture %s is no file", printable.Name(path))
	}
	return f, nil
}

func short(name string) string { return printable.Clip(name, 60) }
