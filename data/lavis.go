package data

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/printable"
)

// Files names annotation files in LAVIS's layout and the folder of their pictures.
type Files struct {
	Name      string // for people; empty means the annotation file's
	Captions  string // JSON list of {"image", "caption", "image_id"}; may be empty
	Questions string // JSON list of {"image", "question", "answer", "kind"}; may be empty
	Images    string // folder that "image" is relative to
	// Process prepares captions with [ProcessCaption], as LAVIS does.
	Process bool
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

// fileSet is a data set of files.
type fileSet struct {
	name    string
	spec    adapters.ImageSpec
	paths   []string
	records []Record
	digest  string
}

// OpenFiles reads annotations and checks that every picture exists and can be decoded.
// It leaves out pictures that cannot be read and returns an error for each in broken.
// It returns err if no picture is left or if the annotations themselves are wrong.
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
	broken = s.dropBroken()
	if len(s.records) == 0 {
		return nil, broken, adapters.Errorf(adapters.Invalid, "%s: none of %d pictures can be read", s.name, len(broken)).
			WithRemedy("the first problem: %s", printable.Error(broken[0]))
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
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	if text == "" || text == "null" {
		return "path:" + path
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

// dropBroken removes pictures that cannot be read and records without captions and
// questions, returns an error for each, and computes the digest of the rest.
func (s *fileSet) dropBroken() (broken []error) {
	sum := sha256.New()
	paths, records := s.paths[:0], s.records[:0]
	for i, path := range s.paths {
		if len(s.records[i].Captions)+len(s.records[i].Questions) == 0 {
			broken = append(broken, adapters.Errorf(adapters.Invalid, "%s has neither a caption nor a question", printable.Name(path)))
			continue
		}
		info, err := checkPicture(path)
		if err != nil {
			broken = append(broken, err)
			continue
		}
		fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano())
		paths, records = append(paths, path), append(records, s.records[i])
	}
	s.paths, s.records = paths, records
	s.digest = hex.EncodeToString(sum.Sum(nil)) + sizeKey(s.spec)
	return broken
}

// checkPicture reads a picture's header and checks that the end of the file is there:
// a download that was cut off lacks it.
func checkPicture(path string) (os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "picture: %w", err)
	}
	defer f.Close()
	if _, err := imaging.DecodeConfig(f); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "picture %s: %w", printable.Name(path), err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if imaging.CutOff(f, info.Size()) {
		return nil, adapters.Errorf(adapters.Corrupt, "picture %s is cut off: its end is missing", printable.Name(path))
	}
	return info, nil
}

func (s *fileSet) Name() string { return s.name }

func (s *fileSet) Digest() string { return s.digest }

func (s *fileSet) Len() int { return len(s.records) }

func (s *fileSet) Record(i int) Record { return s.records[i] }

func (s *fileSet) Image(i int) (*adapters.Tensor, error) { return readFile(s.paths[i], s.spec) }

// Picture returns picture i at its own size.
func (s *fileSet) Picture(i int) image.Image {
	img, err := decode(s.paths[i])
	if err != nil {
		return image.NewRGBA(image.Rect(0, 0, 1, 1))
	}
	return img
}

func decode(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "picture: %w", err)
	}
	defer f.Close()
	img, err := imaging.Decode(f)
	if err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "picture %s: %w", printable.Name(path), err).
			WithRemedy("replace the file; from a data set, take it out of the annotations")
	}
	return img, nil
}

// sizeKey returns the part of a digest that differs between sizes of one data set.
func sizeKey(s adapters.ImageSpec) string {
	key := fmt.Sprintf("/%dx%d-%s-%s", s.Width, s.Height, s.Resample, s.Mode)
	if s.ShortestEdge != 0 {
		key += fmt.Sprintf("-%d", s.ShortestEdge)
	}
	return key
}
