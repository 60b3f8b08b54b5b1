package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
)

// processLockFile is locked as long as a process writes into a run folder. It is never
// removed: a file that is removed while another process waits for it locks nothing.
const processLockFile = ".lock"

// lockMode says which folders a run may take.
type lockMode int

const (
	lockNew     lockMode = iota // refuses a folder that holds a run
	lockResume                  // refuses a folder that holds none
	lockReplace                 // removes the run that the folder holds
)

// LockRunDir makes a folder this process's alone until release is called, and creates it
// if needed. Another process that tries is refused.
func LockRunDir(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	l := flock.New(filepath.Join(dir, processLockFile))
	switch locked, err := l.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock the run folder: %w", err)
	case !locked:
		return nil, adapters.Errorf(adapters.Unavailable, "another process is training in %s", dir).
			WithRemedy("wait until it has ended, or give another folder with --out")
	}
	return func() { _ = l.Unlock() }, nil // the end of the process unlocks it too
}

// acquire locks a run folder as mode says.
func (mode lockMode) acquire(dir string) (release func(), err error) {
	if mode == lockResume { // before the folder is made
		if err := mode.check(dir); err != nil {
			return nil, err
		}
	}
	if release, err = LockRunDir(dir); err != nil {
		return nil, err
	}
	if err := mode.check(dir); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// check refuses a folder that mode does not allow, or empties it.
func (mode lockMode) check(dir string) error {
	found, err := hasRun(dir)
	switch {
	case err != nil:
		return err
	case mode == lockNew && found:
		return adapters.Errorf(adapters.Invalid, "%s already contains a run", dir).
			WithRemedy("pass --resume to continue it, or choose another --out")
	case mode == lockResume && !found:
		return adapters.Errorf(adapters.NotFound, "no run to resume in %s", dir).
			WithRemedy("give the run's folder with --out, or start without --resume")
	case mode == lockReplace && found:
		if err := removeContents(dir); err != nil {
			return fmt.Errorf("replace an earlier run: %w", err)
		}
	}
	return nil
}

// hasRun reports whether a folder holds a run.
func hasRun(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, recipes.RunFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// removeContents removes everything from a locked folder except the lock.
func removeContents(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == processLockFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
