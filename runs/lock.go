package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/homepath"
	"github.com/modular-bridging/bridge/internal/writable"
	"github.com/modular-bridging/bridge/recipes"
)

// processLockFile is locked while a process writes into a run folder. It is never removed,
// because a lock on a removed file would not keep out a process that creates the file again.
const processLockFile = ".lock"

// lockMode selects what a new run does with an existing run in its folder.
type lockMode int

const (
	lockNew     lockMode = iota // refuse a folder with a run
	lockResume                  // refuse a folder without a run
	lockReplace                 // remove the run in the folder
)

// LockRunDir locks a folder until release is called, and creates it if needed. It returns an
// error if another process holds the lock.
func LockRunDir(dir string) (release func(), err error) {
	if err := checkRunDir(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, refuseRunDir(dir, err)
	}
	l := flock.New(filepath.Join(dir, processLockFile))
	switch locked, err := l.TryLock(); {
	case err != nil:
		return nil, refuseRunDir(dir, err)
	case !locked:
		return nil, adapters.Errorf(adapters.Unavailable, "another process is writing to %s", dir).
			WithRemedy("wait until it ends, or choose another folder with --out")
	}
	return func() { _ = l.Unlock() }, nil // the end of the process unlocks it too
}

// refuseRunDir returns the error of a run folder that cannot be made or locked.
func refuseRunDir(dir string, err error) error {
	e := adapters.Errorf(adapters.Unknown, "the run folder %s cannot be used: %w", dir, err)
	if writable.Refused(err) {
		e = e.WithRemedy("choose a folder that you can write to, with --out")
	}
	return e
}

func checkRunDir(dir string) error { return CheckFolder("the run folder", dir) }

// CheckFolder returns an error if the name of a folder to write to begins with ~. It would be
// created in the working folder. what describes the folder, for the error.
func CheckFolder(what, dir string) error {
	if write, found := homepath.Advice(dir); found {
		return adapters.Errorf(adapters.Invalid, "%s is %q, and no shell has expanded ~", what, dir).
			WithRemedy("write %s; a shell does not expand ~ behind =", write)
	}
	return nil
}

// acquire locks a run folder and checks it.
func (mode lockMode) acquire(dir string) (release func(), err error) {
	if err := checkRunDir(dir); err != nil {
		return nil, err
	}
	if mode == lockResume { // checked before LockRunDir creates the folder
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

// check returns an error if the mode does not allow the folder. In mode lockReplace it removes
// the run in the folder.
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
			WithRemedy("pass the run's folder with --out, or start without --resume")
	case mode == lockReplace && found:
		if err := removeContents(dir); err != nil {
			return fmt.Errorf("replace an earlier run: %w", err)
		}
	}
	return nil
}

// hasRun reports whether a folder has a run.
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
