package survey

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/internal/wholelines"
)

// identity is the first line of a journal. A journal of another identity is not continued.
type identity struct {
	Revision    int    `json:"revision"`
	Format      string `json:"format"`
	Digest      string `json:"digest"`
	Rows        int    `json:"rows"`
	Orientation string `json:"orientation"`
}

// revision is raised if rows change their meaning.
const revision = 1

func identify(r record.Reader, pictures data.Reader) identity {
	return identity{revision, r.Format(), r.Digest(), r.Len(), string(pictures.Orientation)}
}

// journal is a file with a line for each row that was read. The zero value keeps nothing.
type journal struct {
	file *os.File
}

// openJournal opens or creates a journal and calls add with the rows that it has. It cuts off
// a last line that is incomplete, and empties a journal of another source.
func openJournal(path string, fresh bool, id identity, add func(Row)) (*journal, error) {
	if path == "" {
		return &journal{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	flags := os.O_RDWR | os.O_CREATE
	if fresh {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return nil, err
	}
	j := &journal{f}
	end, err := replay(f, id, add)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err == nil && end == 0 {
		err = j.writeLines([]any{id})
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// replay reads the rows of a journal. It returns the end of the last whole line.
func replay(f io.Reader, id identity, add func(Row)) (end int64, err error) {
	for line, err := range wholelines.Of(f) {
		if err != nil {
			return 0, err
		}
		if end == 0 {
			var was identity
			if json.Unmarshal(line, &was) != nil || was != id {
				return 0, nil
			}
		} else {
			var row Row
			if json.Unmarshal(line, &row) != nil {
				return end, nil
			}
			add(row)
		}
		end += int64(len(line))
	}
	return end, nil
}

func (j *journal) write(rows []Row) error {
	lines := make([]any, len(rows))
	for i, row := range rows {
		lines[i] = row
	}
	return j.writeLines(lines)
}

func (j *journal) writeLines(lines []any) error {
	if j.file == nil {
		return nil
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	_, err := j.file.Write(buf.Bytes())
	return err
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close() // every write was checked
	}
}

// remove removes the journal of a finished survey.
func (j *journal) remove() error {
	if j.file == nil {
		return nil
	}
	j.close()
	return os.Remove(j.file.Name())
}
