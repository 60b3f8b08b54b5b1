// Package atomicfile writes files and folders atomically: a reader finds the old content or the
// new, even if the write fails or is interrupted.
package atomicfile

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/diskfull"
)

// Write replaces the content of path. write writes the new content to a temporary file in the
// same folder, which is then synced and renamed. After an error, path is unchanged. The error
// for a full disk has kind Exhausted.
func Write(path string, write func(io.Writer) error) error {
	err := replace(path, write)
	if diskfull.Is(err) {
		remedy := "free disk space"
		if _, statErr := os.Lstat(path); statErr == nil {
			remedy += "; the old content of the file is unchanged"
		}
		return diskfull.Explain(err, path+" cannot be written", remedy)
	}
	if err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	return nil
}

// Remove removes a file or an empty folder, which may be missing.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// WriteBytes replaces the content of path with data, like [Write].
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

// syncDir makes a rename durable if the system can sync folders. If it cannot, the file is whole
// nevertheless.
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
