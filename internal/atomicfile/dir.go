package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/diskfull"
)

// Dir makes the folder path of what fill writes into an empty one: it appears
// whole or not at all. A path that is there and not an empty folder is refused.
func Dir(path string, fill func(dir string) error) error {
	if err := vacant(path); err != nil {
		return err
	}
	path = filepath.Clean(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be made: %w", path, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be made: %w", path, err)
	}
	defer os.RemoveAll(tmp) // after the rename there is nothing under this name
	if err := fill(tmp); err != nil {
		return diskfull.Explain(err, path+" cannot be written", "free disk space; nothing of it was kept")
	}
	return finish(tmp, path)
}

// vacant refuses a path under which something stands.
func vacant(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	what := "is a folder with files in it"
	if err != nil {
		what = "is there and is no folder"
	}
	return adapters.Errorf(adapters.Invalid, "%s %s", path, what).WithRemedy("name a folder that is not there yet")
}

// finish gives the folder its name, all of it on the disk.
func finish(tmp, path string) error {
	if err := os.Chmod(tmp, 0o755); err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	syncDir(tmp)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	syncDir(filepath.Dir(path))
	return nil
}
