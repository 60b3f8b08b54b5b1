package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/dirhash"
	"github.com/modular-bridging/bridge/internal/diskfull"
)

const (
	prefix       = "step-"
	tempPrefix   = ".writing-"
	manifestFile = "manifest.json"
)

// manifest lists the sha256 of every file of a checkpoint.
type manifest struct {
	Step  int               `json:"step"`
	Files map[string]string `json:"files"`
}

// Write writes the checkpoint of a step to dir and returns its folder. fill writes the
// files to the folder tmp. Then Write removes the oldest checkpoints until keep are left.
// After an error the other checkpoints are unchanged.
func Write(dir string, step, keep int, fill func(tmp string) error) (path string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", explainFull(err)
	}
	if err := removeLeftovers(dir); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, tempPrefix)
	if err != nil {
		return "", explainFull(err)
	}
	defer os.RemoveAll(tmp) // does nothing after the rename
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	if err := fill(tmp); err != nil {
		return "", explainFull(err)
	}
	if err := seal(tmp, step); err != nil {
		return "", explainFull(err)
	}
	path = filepath.Join(dir, fmt.Sprintf("%s%06d", prefix, step))
	if err := replace(tmp, path); err != nil {
		return "", explainFull(err)
	}
	return path, prune(dir, keep)
}

// explainFull adds a remedy to the error of a full disk.
func explainFull(err error) error {
	return diskfull.Explain(err, "checkpoint not written", diskfull.Resume)
}

// seal writes the manifest and syncs everything.
func seal(dir string, step int) error {
	m := manifest{Step: step, Files: map[string]string{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return syncPath(path)
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		m.Files[filepath.ToSlash(name)], err = dirhash.FileSHA256(path)
		if err != nil {
			return err
		}
		return syncPath(path)
	})
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, manifestFile)
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return errors.Join(syncPath(path), syncPath(dir))
}

// replace renames tmp to path. It removes an older checkpoint of the same step first.
func replace(tmp, path string) error {
	if _, err := os.Stat(path); err == nil {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// removeLeftovers removes the temporary folders of writes that were killed.
func removeLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// prune removes the oldest checkpoints until keep are left.
func prune(dir string, keep int) error {
	all, err := List(dir)
	if err != nil {
		return err
	}
	for _, path := range all[:max(0, len(all)-max(1, keep))] {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove old checkpoint: %w", err)
		}
	}
	return nil
}

// List returns the checkpoints in dir, oldest first, without verifying them.
func List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	slices.SortFunc(paths, func(a, b string) int {
		if len(a) != len(b) { // beyond 999999 steps
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return paths, nil
}

// Latest returns the newest checkpoint that is intact, and why it skipped newer ones. If
// there is no checkpoint, the error is of kind NotFound; if none is intact, of kind
// Corrupt.
func Latest(dir string) (path string, skipped []error, err error) {
	all, err := List(dir)
	if err != nil {
		return "", nil, err
	}
	for _, path := range slices.Backward(all) {
		err := Verify(path)
		if err == nil {
			return path, skipped, nil
		}
		skipped = append(skipped, err)
	}
	if len(skipped) > 0 {
		return "", skipped, adapters.Errorf(adapters.Corrupt, "no checkpoint in %s is intact: %w", dir, errors.Join(skipped...)).
			WithRemedy("the run cannot be resumed: delete its folder, or name another with --out, and start without --resume")
	}
	return "", nil, adapters.Errorf(adapters.NotFound, "%s holds no checkpoint", dir)
}

// Verify compares a checkpoint's files with its manifest. If a file differs, the error is
// of kind Corrupt and names it.
func Verify(path string) error {
	data, err := os.ReadFile(filepath.Join(path, manifestFile))
	if err != nil {
		return corrupt(path, "%w", err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return corrupt(path, "%s: %w", manifestFile, err)
	}
	for name, want := range m.Files {
		if !filepath.IsLocal(name) {
			return corrupt(path, "%s names %q", manifestFile, name)
		}
		got, err := dirhash.FileSHA256(filepath.Join(path, filepath.FromSlash(name)))
		if err != nil {
			return corrupt(path, "%w", err)
		}
		if got != want {
			return corrupt(path, "%s has sha256 %s, the manifest says %s", name, got, want)
		}
	}
	return nil
}

func corrupt(path, format string, args ...any) error {
	return adapters.Errorf(adapters.Corrupt, "checkpoint %s: %w", path, fmt.Errorf(format, args...)).
		WithRemedy("delete the folder: the checkpoint before it is used")
}
