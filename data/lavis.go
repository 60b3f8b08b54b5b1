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
	"github.com/modular-bridging/bridge/internal/printable"
)

// Files names annotation files in LAVIS's layout and the folder of their pictures. Package
// annotations says which files it reads.
type Files struct {
	Name      string // for people; empty means the annotation file's
	Captions  string // JSON list or lines of {"image", "caption", "image_id"}; may be empty
	Questions string // JSON list or lines of {"image", "question", "answer", "kind"}; may be empty
	Images    string // folder that "image" is relative to
	// Process prepares captions with [ProcessCaption] and questions with [ProcessQuestion],
	// as LAVIS does.
	Process bool
	// Orientation says whether pictures are turned; empty means by their Exif data.
	Orientation imaging.Orientation
}

// fileSet is a data set of files.
type fileSet struct {
	name    string
	reader  Reader
	paths   []string
	records []Record
	digest  string

	warnings []string
	// decoding is the result of Decoding.
	decoding string
}

// OpenFiles reads annotations and checks that every picture exists and can be decoded.
// It leaves out pictures that cannot be read and returns an error for each in broken.
// It returns err if no picture is left or if the annotations themselves are wrong.
func OpenFiles(f Files, spec adapters.ImageSpec) (d Dataset, broken []error, err error) {
	if err := f.Orientation.Check(); err != nil {
		return nil, nil, err
	}
	if f.Captions == "" && f.Questions == "" {
		return nil, nil, adapters.Errorf(adapters.Invalid, "a data set of files needs captions, questions or both")
	}
	s := &fileSet{name: f.name(), reader: Reader{Spec: spec, Orientation: f.Orientation}}
	if err := s.readAll(f, func(error) bool { return false }); err != nil {
		return nil, nil, err
	}
	if err := s.wantCaptions(f); err != nil {
		return nil, nil, err
	}
	broken = s.dropBroken()
	if len(s.records) == 0 {
		return nil, broken, adapters.Errorf(adapters.Invalid, "%s: none of %d pictures can be read", s.name, len(broken)).
			WithRemedy("the first problem: %s", printable.Error(broken[0]))
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
	revisions := map[string]bool{}
	paths, records := s.paths[:0], s.records[:0]
	for i, path := range s.paths {
		if len(s.records[i].Captions)+len(s.records[i].Questions) == 0 {
			broken = append(broken, adapters.Errorf(adapters.Invalid, "%s has neither a caption nor a question", printable.Name(path)))
			continue
		}
		info, revision, err := checkPicture(path)
		if err != nil {
			broken = append(broken, err)
			continue
		}
		fmt.Fprintln(sum, path, info.Size(), info.ModTime().UnixNano())
		revisions[revision] = true
		paths, records = append(paths, path), append(records, s.records[i])
	}
	s.paths, s.records = paths, records
	s.digest = hex.EncodeToString(sum.Sum(nil)) + sizeKey(s.reader.Spec)
	s.decoding = s.reader.decoding(revisions)
	return broken
}

// checkPicture reads a picture's header and checks that the end of the file is there:
// a download that was cut off lacks it. revision is that of [imaging.Revision].
func checkPicture(path string) (info os.FileInfo, revision string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", adapters.Errorf(adapters.NotFound, "picture: %w", err)
	}
	defer f.Close()
	if _, err := imaging.DecodeConfig(f); err != nil {
		return nil, "", pictureError(path, err)
	}
	info, err = f.Stat()
	if err != nil {
		return nil, "", err
	}
	if imaging.CutOff(f, info.Size()) {
		return nil, "", adapters.Errorf(adapters.Corrupt, "picture %s is cut off: its end is missing", printable.Name(path))
	}
	return info, imaging.Revision(f), nil
}

func (s *fileSet) Name() string { return s.name }

func (s *fileSet) Digest() string { return s.digest }

// Decoding identifies how the files become pixels, as featurecache.Decoder says.
func (s *fileSet) Decoding() string { return s.decoding }

func (s *fileSet) Len() int { return len(s.records) }

func (s *fileSet) Record(i int) Record { return s.records[i] }

func (s *fileSet) Image(i int) (*adapters.Tensor, error) { return s.reader.file(s.paths[i]) }

// Picture returns picture i at its own size.
func (s *fileSet) Picture(i int) image.Image {
	img, err := s.reader.decode(s.paths[i])
	if err != nil {
		return image.NewRGBA(image.Rect(0, 0, 1, 1))
	}
	return img
}
