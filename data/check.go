package data

import (
	"fmt"
	"os"

	"github.com/modular-bridging/bridge/adapters"
)

// Findings are what [CheckFiles] found.
type Findings struct {
	Problems []error  // because of which no data set can be opened
	Broken   []error  // an error for each picture of the sample that would be left out
	Warnings []string // what else would be left out of the annotations
	Pictures int      // that the annotations name
	Sampled  int      // pictures that were read
}

// maxProblems is how many problems of an annotation file are described.
const maxProblems = 10

// CheckFiles reads the annotations of files to their end and a sample of up to n pictures,
// which are spread over the order. Unlike [OpenFiles] it returns all problems and opens no
// data set.
func CheckFiles(f Files, n int) Findings {
	var found Findings
	s := &fileSet{name: f.name(), reader: Reader{Orientation: f.Orientation}}
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
	found.Warnings, found.Pictures = s.warnings, len(s.paths)
	if info, err := os.Stat(f.Images); err != nil || !info.IsDir() {
		found.Problems = append(found.Problems, adapters.Errorf(adapters.NotFound, "images: %s is not a folder", f.Images))
		return found
	}
	found.sample(s.reader, s.paths, n)
	return found
}

// sample reads up to n pictures.
func (f *Findings) sample(reader Reader, paths []string, n int) {
	f.Sampled = min(n, len(paths))
	for i := range f.Sampled {
		if err := reader.try(paths[i*len(paths)/f.Sampled]); err != nil {
			f.Broken = append(f.Broken, err)
		}
	}
	if f.Sampled > 0 && len(f.Broken) == f.Sampled {
		f.Problems = append(f.Problems, adapters.Errorf(adapters.Invalid, "none of %d pictures can be read; the first: %w", f.Sampled, f.Broken[0]))
		f.Broken = nil
	}
}

// try reads a picture as opening a data set and training do.
func (r Reader) try(path string) error {
	if c := checkPicture(path); c.err != nil {
		return c.err
	}
	_, err := r.decode(path)
	return err
}
