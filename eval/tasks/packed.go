package tasks

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// packed ends the names of files that are compressed with gzip.
const packed = ".gz"

// unpacked are files that were compressed, in a temporary folder, because rows are read in any order.
type unpacked struct{ dir string }

// path returns the path of a file's content: the file itself, or a decompressed copy of it.
func (u *unpacked) path(path string) (string, error) {
	if !strings.HasSuffix(path, packed) {
		return path, nil
	}
	if u.dir == "" {
		dir, err := os.MkdirTemp("", "bridge-eval-")
		if err != nil {
			return "", err
		}
		u.dir = dir
	}
	out := filepath.Join(u.dir, strings.TrimSuffix(filepath.Base(path), packed))
	return out, unpack(path, out)
}

// unpack decompresses a file.
func unpack(path, out string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		return adapters.Errorf(adapters.Corrupt, "%s is not compressed with gzip: %w", path, err).WithRemedy("download the file again")
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, z); err != nil {
		err = adapters.Errorf(adapters.Corrupt, "%s cannot be decompressed: %w", path, err).WithRemedy("download the file again, and check that the temporary folder has room")
	}
	return errors.Join(err, f.Close())
}

// remove deletes the copies.
func (u *unpacked) remove() error {
	if u.dir == "" {
		return nil
	}
	return os.RemoveAll(u.dir)
}
