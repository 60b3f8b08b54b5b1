package data

import (
	"errors"
	"fmt"
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
	// Was, if non-nil, records the data set as a run found it. The data set then has the
	// run's rows: see [Inventory].
	Was *Inventory
}

// OpenFiles reads annotations and checks every picture: its file is there, its header can
// be read and does not name more pixels than package imaging decodes, and its end is there.
// It leaves out pictures that fail, and records without captions and questions, and returns
// an error for each in broken: a [PictureError] for a picture. It returns err if no picture
// is left, if the annotations themselves are wrong, or if they differ from f.Was.
func OpenFiles(f Files, spec adapters.ImageSpec) (d Dataset, broken []error, err error) {
	if err := f.Orientation.Check(); err != nil {
		return nil, nil, err
	}
	if f.Captions == "" && f.Questions == "" {
		return nil, nil, adapters.Errorf(adapters.Invalid, "a data set of files needs captions, questions or both")
	}
	s := &fileSet{name: f.DisplayName(), reader: Reader{Spec: spec, Orientation: f.Orientation}}
	if f.Captions != "" && f.Questions != "" {
		s.files = []string{filepath.Base(f.Captions), filepath.Base(f.Questions)}
	}
	if err := s.readAll(f, func(error) bool { return false }); err != nil {
		return nil, nil, err
	}
	if err := s.wantCaptions(f); err != nil {
		return nil, nil, err
	}
	broken, err = s.checkAll(f.Was)
	if err != nil {
		return nil, broken, err
	}
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
