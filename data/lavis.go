package data

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/modular-bridging/bridge/adapters"
)

// Files names annotation files in LAVIS's layout and the folder of their pictures.
type Files struct {
	Name      string // for people; empty means the annotation file's
	Captions  string // JSON list of {"image", "caption", "image_id"}; may be empty
	Questions string // JSON list of {"image", "question", "answer", "kind"}; may be empty
	Images    string // folder that "image" is relative to
	// Process prepares captions with [ProcessCaption], as LAVIS does.
	Process bool
	// Was, if non-nil, is what a run found when it started. The data set then has the run's
	// rows: see [Inventory].
	Was *Inventory
}

// entry is one element of either list. Further keys of LAVIS's lists are ignored.
type entry struct {
	Image    string          `json:"image"`
	Caption  oneOrMore       `json:"caption"`
	ImageID  json.RawMessage `json:"image_id"` // a number or a string
	Question string          `json:"question"`
	Answer   oneOrMore       `json:"answer"`
	Kind     string          `json:"kind"`
}

// oneOrMore reads a string or a list of strings.
type oneOrMore []string

// UnmarshalJSON implements [json.Unmarshaler].
func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	var more []string
	if err := json.Unmarshal(data, &more); err != nil {
		return errors.New("want a string or a list of strings")
	}
	*o = more
	return nil
}

// OpenFiles reads annotations and checks every picture: its file is there, its header can
// be read and does not name more pixels than package imaging decodes, and its end is there.
// It leaves out pictures that fail, and records without captions and questions, and returns
// an error for each in broken: a [PictureError] for a picture. It returns err if no picture
// is left, if the annotations themselves are wrong, or if they differ from f.Was.
func OpenFiles(f Files, spec adapters.ImageSpec) (d Dataset, broken []error, err error) {
	if f.Captions == "" && f.Questions == "" {
		return nil, nil, adapters.Errorf(adapters.Invalid, "a data set of files needs captions, questions or both")
	}
	s := &fileSet{name: f.Name, spec: spec}
	if s.name == "" {
		s.name = filepath.Base(cmp.Or(f.Captions, f.Questions))
	}
	rows := map[string]int{} // path → record
	ids := map[string]int32{}
	for _, file := range []string{f.Captions, f.Questions} {
		if file == "" {
			continue
		}
		entries, err := readEntries(file)
		if err != nil {
			return nil, nil, err
		}
		for i, e := range entries {
			if err := s.add(f, e, rows, ids); err != nil {
				return nil, nil, adapters.Errorf(adapters.Invalid, "%s: entry %d: %w", file, i, err)
			}
		}
	}
	if f.Captions != "" && !slices.ContainsFunc(s.records, func(e Record) bool { return len(e.Captions) > 0 }) {
		return nil, nil, adapters.Errorf(adapters.Invalid, "%s holds no caption", f.Captions).
			WithRemedy("give questions by the key questions, and leave annotations out if there are no captions")
	}
	broken, err = s.checkAll(f.Was)
	if err != nil {
		return nil, broken, err
	}
	if len(s.records) == 0 {
		return nil, broken, adapters.Errorf(adapters.Invalid, "%s: none of %d pictures can be read", s.name, len(broken)).
			WithRemedy("the first problem: %v", broken[0])
	}
	return s, broken, nil
}

func readEntries(file string) ([]entry, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "annotations: %w", err)
	}
	var entries []entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "%s: %w", file, err).
			WithRemedy(`want a JSON list such as [{"image": "1.jpg", "caption": "a dog", "image_id": 1}]`)
	}
	if len(entries) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "%s: the list is empty", file)
	}
	return entries, nil
}

// add merges an entry into the record of its picture.
func (s *fileSet) add(f Files, e entry, rows map[string]int, ids map[string]int32) error {
	path, err := picturePath(f.Images, e.Image)
	if err != nil {
		return err
	}
	row, ok := rows[path]
	if !ok {
		row = len(s.records)
		rows[path] = row
		s.paths = append(s.paths, path)
		s.names = append(s.names, e.Image)
		s.imageIDs = append(s.imageIDs, imageID(e.ImageID))
		key := imageKey(e.ImageID, path)
		id, ok := ids[key]
		if !ok {
			id = int32(len(ids))
			ids[key] = id
		}
		s.records = append(s.records, Record{ID: e.Image, ImageID: id})
	}
	x := &s.records[row]
	for _, c := range e.Caption {
		if f.Process {
			c = ProcessCaption(c)
		}
		if strings.TrimSpace(c) != "" && !slices.Contains(x.Captions, c) {
			x.Captions = append(x.Captions, c)
		}
	}
	if e.Question != "" {
		if len(e.Answer) == 0 {
			return fmt.Errorf("the question %q has no answer", e.Question)
		}
		x.Questions = append(x.Questions, QA{Question: e.Question, Answer: e.Answer[0], Kind: e.Kind})
	}
	return nil
}

// imageKey returns a key that is equal for entries with the same image_id, written as
// a number or as a string. A picture without an image_id has a key of its own.
func imageKey(raw json.RawMessage, path string) string {
	return cmp.Or(imageID(raw), "path:"+path)
}

// imageID returns an image_id as text. It is empty if there is none.
func imageID(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	if text == "null" {
		return ""
	}
	return norm.NFC.String(text)
}

// picturePath joins folder and name. It refuses names that leave the folder, so that a
// downloaded annotation file cannot read other files.
func picturePath(folder, name string) (string, error) {
	if name == "" {
		return "", errors.New(`"image" is empty, want a file name`)
	}
	if filepath.IsAbs(name) {
		return "", fmt.Errorf("image %q is an absolute path, want one relative to the image folder", name)
	}
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("image %q leaves the image folder", name)
	}
	return filepath.Join(folder, name), nil
}
