package benchmark

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/diskfull"
	"github.com/modular-bridging/bridge/internal/wholelines"
)

// ReadSamples reads the whole lines of samples.jsonl in a task's folder. A line that was cut off is left
// out.
func ReadSamples(dir string) ([]Sample, error) {
	samples, _, err := readSamples(filepath.Join(dir, SamplesFile))
	return samples, err
}

// readSamples reads the whole lines of a file, and returns their size in bytes. There are none if there is
// no file.
func readSamples(path string) (samples []Sample, size int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	for line, err := range wholelines.Of(f) {
		if err != nil {
			return nil, 0, err
		}
		var s Sample
		if err := json.Unmarshal(line, &s); err != nil {
			return nil, 0, adapters.Errorf(adapters.Corrupt, "%s: line %d is no sample: %w", path, len(samples)+1, err).
				WithRemedy("--fresh starts over; --out DIR keeps what is there")
		}
		samples, size = append(samples, s), size+int64(len(line))
	}
	return samples, size, nil
}

// lines is samples.jsonl, open for appending.
type lines struct {
	file *os.File
	done []Sample
}

// openLines opens the file of a folder, and drops a line that was cut off.
func openLines(dir string) (*lines, error) {
	path := filepath.Join(dir, SamplesFile)
	done, size, err := readSamples(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &lines{file: f, done: done}, nil
}

// append writes samples and waits until they are on the disk.
func (l *lines) append(samples []Sample) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for i := range samples {
		if err := encoder.Encode(&samples[i]); err != nil {
			return err
		}
	}
	_, err := l.file.Write(text.Bytes())
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return diskfull.Explain(err, "samples.jsonl", "free some space and run the command again: it continues")
	}
	l.done = append(l.done, samples...)
	return nil
}

// close closes the file.
func (l *lines) close() error { return l.file.Close() }

// clear discards all lines.
func (l *lines) clear() error {
	l.done = nil
	return l.file.Truncate(0)
}
