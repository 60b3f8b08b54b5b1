package metrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/diskfull"
	"github.com/modular-bridging/bridge/internal/wholelines"
)

// File is the name of the JSON lines in a run folder.
const File = "metrics.jsonl"

// Writer appends figures to metrics.jsonl and to a TensorBoard event file.
type Writer struct {
	path   string
	file   *os.File
	events *eventFile
}

// Open opens the figures in dir for appending. Call [Writer.Truncate] to drop those that
// will be written again.
func Open(dir string) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, explain(err)
	}
	w := &Writer{path: filepath.Join(dir, File)}
	var err error
	if w.file, err = os.OpenFile(w.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return nil, explain(err)
	}
	if w.events, err = createEvents(filepath.Join(dir, "events")); err != nil {
		w.file.Close()
		return nil, explain(err)
	}
	return w, nil
}

// Write records values of a step. clock is how long the run has trained. NaN and
// infinities, which JSON cannot hold, are written as strings.
func (w *Writer) Write(step int, clock time.Duration, values map[string]float64) error {
	line := map[string]any{"step": step, "seconds": math.Round(clock.Seconds()*1000) / 1000}
	for name, v := range values {
		line[name] = v
		if math.IsNaN(v) || math.IsInf(v, 0) {
			line[name] = fmt.Sprint(v)
		}
	}
	data, err := json.Marshal(line)
	if err != nil {
		return explain(err)
	}
	if _, err := w.file.Write(append(data, '\n')); err != nil {
		return explain(err)
	}
	if err := w.events.write(step, time.Now(), values); err != nil {
		return explain(fmt.Errorf("events: %w", err))
	}
	return nil
}

// Truncate drops the lines of steps after the given one, and a last line that was cut off
// when the run was killed. Of the given step it drops the lines with a figure whose name
// begins with one of again, because those will be measured again. It tells TensorBoard by
// an event that the steps after the given one restart.
func (w *Writer) Truncate(step int, again ...string) error {
	lines, err := keptLines(w.path, step, again)
	if err != nil {
		return explain(err)
	}
	if err := errors.Join(w.file.Close(), atomicfile.WriteBytes(w.path, lines)); err != nil {
		return explain(err)
	}
	if w.file, err = os.OpenFile(w.path, os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return explain(err)
	}
	if err := w.events.restart(step+1, time.Now()); err != nil {
		return explain(fmt.Errorf("events: %w", err))
	}
	return nil
}

// explain adds what failed to an error, and a remedy if the disk is full.
func explain(err error) error {
	if diskfull.Is(err) {
		return diskfull.Explain(err, "metrics not written", "free disk space")
	}
	return fmt.Errorf("metrics not written: %w", err)
}

// keptLines returns the whole lines of steps up to the given one, without the lines of
// that step that will be measured again.
func keptLines(path string, step int, again []string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out bytes.Buffer
	for line, err := range wholelines.Of(f) {
		if err != nil {
			return nil, err
		}
		var figures map[string]any
		if json.Unmarshal(line, &figures) != nil {
			continue
		}
		if at, ok := figures["step"].(float64); ok && (int(at) < step || int(at) == step && !anyHasPrefix(figures, again)) {
			out.Write(line)
		}
	}
	return out.Bytes(), nil
}

// anyHasPrefix reports whether a figure's name begins with one of the prefixes.
func anyHasPrefix(figures map[string]any, prefixes []string) bool {
	for name := range figures {
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			return true
		}
	}
	return false
}

// Close closes the files.
func (w *Writer) Close() error { return errors.Join(w.file.Close(), w.events.close()) }
