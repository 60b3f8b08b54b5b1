package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/diskfull"
)

// Dir creates a folder with the files that fill writes. After an error, the folder does not
// exist. path must not exist yet, or must be an empty folder.
func Dir(path string, fill func(dir string) error) error {
	if err := checkVacant(path); err != nil {
		return err
	}
	path = filepath.Clean(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be created: %w", path, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be created: %w", path, err)
	}
	defer os.RemoveAll(tmp) // after the rename, tmp does not exist
	if err := fill(tmp); err != nil {
		return diskfull.Explain(err, path+" cannot be written", "free disk space; the partial folder was removed")
	}
	return finish(tmp, path)
}

// checkVacant returns an error unless path does not exist or is an empty folder.
func checkVacant(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	problem := "is a folder with files in it"
	if err != nil {
		problem = "exists and is not a folder"
	}
	return adapters.Errorf(adapters.Invalid, "%s %s", path, problem).WithRemedy("name a folder that does not exist")
}

// finish renames the folder to its final path and syncs it.
func finish(tmp, path string) error {
	if err := os.Chmod(tmp, 0o755); err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	syncDir(tmp)
	if err := Remove(path); err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	syncDir(filepath.Dir(path))
	return nil
}
