package data

import (
	"fmt"
	"os"

	"github.com/modular-bridging/bridge/adapters"
)

// Findings are what [CheckFiles] found.
type Findings struct {
	Problems []error         // because of which no data set can be opened
	Broken   []*PictureError // pictures that would be left out: all missing files, and what is wrong in the sample
	Warnings []string        // what else would be left out of the annotations
	Pictures int             // that have texts
	Sampled  int             // pictures that were read
}

// maxProblems is how many problems of an annotation file are described.
const maxProblems = 10

// CheckFiles reads the annotations of files to their end. It checks that every picture has a
// file, and reads a sample of up to n pictures, which are spread over the order. Unlike
// [OpenFiles] it returns all problems and opens no data set.
func CheckFiles(f Files, n int) Findings {
	var found Findings
	s := &fileSet{name: f.DisplayName(), reader: Reader{Orientation: f.Orientation}}
	more := 0
	_ = s.readAll(f, func(problem error) bool { // returns nil, because this goes on
		if len(found.Problems) < maxProblems {
			found.Problems = append(found.Problems, problem)
		} else {
			more++
		}
		return true
	})
	if more > 0 {
		found.Problems = append(found.Problems, fmt.Errorf("%s: %d more problems", s.name, more))
	}
	if err := s.wantCaptions(f); err != nil && len(found.Problems) == 0 {
		found.Problems = append(found.Problems, err)
	}
	found.Warnings = s.warnings
	for _, dropped := range s.dropWithoutTexts() {
		found.Warnings = append(found.Warnings, s.name+": entry left out: "+dropped.Error())
	}
	found.Pictures = len(s.paths)
	if info, err := os.Stat(f.Images); err != nil || !info.IsDir() {
		found.Problems = append(found.Problems, adapters.Errorf(adapters.NotFound, "images: %s is not a folder", f.Images))
		return found
	}
	found.checkPictures(s, n)
	return found
}

// checkPictures looks for the file of every picture, and reads up to n pictures.
func (f *Findings) checkPictures(s *fileSet, n int) {
	f.Sampled = min(n, len(s.paths))
	next, bad := 0, 0 // in the sample
	for i, path := range s.paths {
		sampled := next < f.Sampled && i == next*len(s.paths)/f.Sampled
		if sampled {
			next++
		}
		if !sampled && hasContent(path) {
			continue
		}
		if err := s.reader.try(path); err != nil {
			f.Broken = append(f.Broken, &PictureError{Picture: s.names[i], Row: i, Err: err})
			if sampled {
				bad++
			}
		}
	}
	if f.Sampled > 0 && bad == f.Sampled {
		f.Problems = append(f.Problems, adapters.Errorf(adapters.Invalid, "none of %d pictures can be read; the first: %w", f.Sampled, f.Broken[0]))
		f.Broken = nil
	}
}

// hasContent reports whether there is a file of at least a byte.
func hasContent(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Size() > 0
}

// try reads a picture as opening a data set and training do.
func (r Reader) try(path string) error {
	if c := checkPicture(path); c.err != nil {
		return c.err
	}
	_, err := r.decode(path)
	return err
}
