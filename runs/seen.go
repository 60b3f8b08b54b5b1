package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/wholelines"
)

// seenFile is the file of a run folder with a line for each picture of streamed training data that the run has
// read: its digest, as [data.Entry.Bytes] has it.
const seenFile = "data-train-pictures.txt"

// maxSeen bounds the pictures that a run records. Their digests are in memory, too.
const maxSeen = 10_000_000

// seenPictures records pictures, each once. Its methods may be called from several goroutines.
type seenPictures struct {
	mu    sync.Mutex
	known map[string]bool
	most  int
	file  *os.File
	err   error // of the file
}

// recordSeen records the pictures that are read of streamed training data, until the caller calls done. A run that
// continues keeps what it has recorded. Data in picture files has a line for each picture elsewhere
// ([entriesFile]).
func (res *resources) recordSeen(dir string, resume bool) (done func(), err error) {
	sources, ok := res.whole[trainSplit].(*data.Sources)
	if !ok {
		return func() {}, nil
	}
	s, err := openSeen(filepath.Join(dir, seenFile), resume, maxSeen)
	if err != nil {
		return nil, err
	}
	sources.OnPicture(s.add)
	return func() {
		if err := s.close(); err != nil {
			res.workspace.Log().Warn("not all training pictures are recorded: an evaluation cannot tell whether the model was trained on its pictures",
				"file", seenFile, "error", err)
		}
	}, nil
}

// openSeen opens the file. Without keep it discards what is there.
func openSeen(path string, keep bool, most int) (*seenPictures, error) {
	s := &seenPictures{known: map[string]bool{}, most: most}
	var size int64
	if keep {
		var err error
		if size, err = readSeen(path, s.known); err != nil {
			return nil, err
		}
	}
	var err error
	if s.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	if err := s.file.Truncate(size); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
}

// readSeen adds the digests of a file, which may be missing, and returns the size of its whole lines. A line that was
// cut off is left out.
func readSeen(path string, to map[string]bool) (size int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for line, err := range wholelines.Of(f) {
		if err != nil {
			return 0, err
		}
		to[strings.TrimSuffix(string(line), "\n")] = true
		size += int64(len(line))
	}
	return size, nil
}

// add records a picture by its digest.
func (s *seenPictures) add(digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil || s.known[digest]:
		return
	case len(s.known) >= s.most:
		s.err = fmt.Errorf("the training data has more than %d pictures", s.most)
		return
	}
	s.known[digest] = true
	_, s.err = s.file.WriteString(digest + "\n")
}

// close closes the file, and returns the first error.
func (s *seenPictures) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.err, s.file.Close())
}
