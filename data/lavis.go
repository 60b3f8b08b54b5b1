package data

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/imaging"
)

// Files names annotation files in LAVIS's layout and the folder of their pictures. Package
// annotations says which files it reads.
type Files struct {
	Name      string // for people; empty means the annotation file's
	Captions  string // JSON list or lines of {"image", "caption", "image_id"}; may be empty
	Questions string // JSON list or lines of {"image", "question", "answer", "kind"}; may be empty
	Images    string // folder that "image" is relative to
	// Process prepares captions with [ProcessCaption], as LAVIS does.
	Process bool
}

// fileSet is a data set of files.
type fileSet struct {
	name    string
	spec    adapters.ImageSpec
	paths   []string
	records []Record
	digest  string

	warnings []string
}

// OpenFiles reads annotations and checks that every picture exists and can be decoded.
// It leaves out pictures that cannot be read and returns an error for each in broken.
// It returns err if no picture is left or if the annotations themselves are wrong.
func OpenFiles(f Files, spec adapters.ImageSpec) (d Dataset, broken []error, err error) {
	if f.Captions == "" && f.Questions == "" {
		return nil, nil, adapters.Errorf(adapters.Invalid, "a data set of files needs captions, questions or both")
	}
	s := &fileSet{name: f.name(), spec: spec}
	if err := s.readAll(f, func(error) bool { return false }); err != nil {
		return nil, nil, err
	}
	if err := s.wantCaptions(f); err != nil {
		return nil, nil, err
	}
	broken = s.dropBroken()
	if len(s.records) == 0 {
		return nil, broken, adapters.Errorf(adapters.Invalid, "%s: none of %d pictures can be read", s.name, len(broken)).
			WithRemedy("the first problem: %v", broken[0])
	}
	return s, broken, nil
}

// picturePath joins folder and name. It refuses names that leave the folder, so that a
// downloaded annotation file cannot read other files.
func picturePath(folder, name string) (string, error) {
	if name == "" {
		return "", errors.New(`"image" is empty, want a file name`)
	}
	if strings.Contains(name, "://") || strings.HasPrefix(name, "data:") {
		return "", fmt.Errorf("image %q is a URL, want the name of a file in the image folder", shorten(name))
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
			broken = append(broken, adapters.Errorf(adapters.Invalid, "%s has neither a caption nor a question", path))
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
		return nil, adapters.Errorf(adapters.Corrupt, "picture %s: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if imaging.CutOff(f, info.Size()) {
		return nil, adapters.Errorf(adapters.Corrupt, "picture %s is cut off: its end is missing", path)
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
		return nil, adapters.Errorf(adapters.Corrupt, "picture %s: %w", path, err).
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
