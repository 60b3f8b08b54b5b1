// Package atomicfile replaces files whole: a reader finds the old content or the
// new, whatever happens while it is written.
package atomicfile

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/diskfull"
)

// Write replaces path by what write writes: into a temporary file beside it,
// synced, then renamed. On an error path holds what it held before; a full disk
// is of kind Exhausted.
func Write(path string, write func(io.Writer) error) error {
	err := replace(path, write)
	if diskfull.Is(err) {
		return diskfull.Explain(err, path+" cannot be written", "free disk space; what the file held before is unchanged")
	}
	if err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	return nil
}

// WriteBytes replaces the content of path by data, as [Write] does.
func WriteBytes(path string, data []byte) error {
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

func replace(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreClosed(f.Close()), os.Remove(f.Name()))
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err := write(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// syncDir makes a rename durable where the system lets folders be synced; the
// file is whole either way.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
