package data

import (
	"image"
	"io/fs"
	"runtime"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
)

// fileSet is a data set of files.
type fileSet struct {
	name     string
	files    []string // names of the annotation files, if there are captions and questions
	reader   Reader
	warnings []string
	decoding string // the result of Decoding
	// Of each row:
	paths    []string
	names    []string // as the annotations say: the ID of the record
	imageIDs []string // as the annotations say; empty if they do not
	records  []Record
	entries  []Entry
	infos    []fs.FileInfo // nil for a picture that is left out
}

var (
	_ Dataset  = (*fileSet)(nil)
	_ Itemized = (*fileSet)(nil)
)

// checkAll removes records without captions and questions, and pictures that cannot be read.
// It returns an error for each in broken, and computes the entries of the rest. If the rows
// are those of a run, it keeps the rows of pictures that fail.
func (s *fileSet) checkAll(was *Inventory) (broken []error, err error) {
	broken = s.dropWithoutTexts()
	var leftOut map[string]Record
	if was != nil {
		leftOut = was.records()
		if err := s.matchRows(was); err != nil {
			return broken, err
		}
	}
	checks := s.checkPictures()
	keep := make([]bool, len(s.records))
	revisions := map[string]bool{}
	for i, c := range checks {
		if c.info != nil && c.err == nil {
			revisions[c.revision] = true
		}
		if _, ok := leftOut[s.names[i]]; ok {
			s.entries[i], keep[i] = was.Entries[i], true
			continue
		}
		if c.err == nil && was != nil {
			c.err = s.compare(i, c, was.Entries[i])
			if differs(c.err) {
				return broken, c.err
			}
		}
		if c.err != nil {
			broken = append(broken, &PictureError{Picture: s.names[i], Row: i, Err: c.err})
			if keep[i] = was != nil; keep[i] {
				s.entries[i] = was.Entries[i]
			}
			continue
		}
		s.entries[i] = Entry{Picture: s.names[i], Texts: s.textDigest(i), Bytes: c.digest}
		s.infos[i], keep[i] = c.info, true
	}
	s.filter(keep)
	s.decoding = s.reader.decoding(revisions)
	return broken, nil
}

// checkPictures checks the picture files, several at once.
func (s *fileSet) checkPictures() []pictureCheck {
	s.entries, s.infos = make([]Entry, len(s.paths)), make([]fs.FileInfo, len(s.paths))
	checks := make([]pictureCheck, len(s.paths))
	rows := make(chan int)
	var workers sync.WaitGroup
	for range min(max(2, runtime.GOMAXPROCS(0)), max(1, len(s.paths))) {
		workers.Go(func() {
			for i := range rows {
				if s.paths[i] != "" { // empty if the annotations do not name it any more
					checks[i] = checkPicture(s.paths[i])
				}
			}
		})
	}
	for i := range s.paths {
		rows <- i
	}
	close(rows)
	workers.Wait()
	return checks
}

// dropWithoutTexts removes records without captions and questions, and returns an error for
// each.
func (s *fileSet) dropWithoutTexts() (dropped []error) {
	keep := make([]bool, len(s.records))
	for i, r := range s.records {
		if keep[i] = len(r.Captions)+len(r.Questions) > 0; !keep[i] {
			dropped = append(dropped, adapters.Errorf(adapters.Invalid, "%s has neither a caption nor a question", printable.Name(s.paths[i])))
		}
	}
	s.filter(keep)
	return dropped
}

// filter removes the rows that are not kept.
func (s *fileSet) filter(keep []bool) {
	s.paths, s.names, s.imageIDs = filter(s.paths, keep), filter(s.names, keep), filter(s.imageIDs, keep)
	s.records, s.entries, s.infos = filter(s.records, keep), filter(s.entries, keep), filter(s.infos, keep)
}

func filter[T any](all []T, keep []bool) []T {
	kept := all[:0]
	for i, v := range all {
		if keep[i] {
			kept = append(kept, v)
		}
	}
	return kept
}

func (s *fileSet) Name() string { return s.name }

// Decoding identifies how the files become pixels, as featurecache.Decoder says.
func (s *fileSet) Decoding() string { return s.decoding }

func (s *fileSet) Len() int { return len(s.records) }

func (s *fileSet) Record(i int) (Record, error) { return s.records[i], nil }

func (s *fileSet) Image(i int) (*adapters.Tensor, error) { return s.reader.file(s.paths[i]) }

// Picture returns picture i at its own size.
func (s *fileSet) Picture(i int) image.Image {
	img, err := s.reader.decode(s.paths[i])
	if err != nil {
		return image.NewRGBA(image.Rect(0, 0, 1, 1))
	}
	return img
}
