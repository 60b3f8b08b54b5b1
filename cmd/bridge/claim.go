package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/loglevel"
)

// claimFile is locked as long as a process writes into a run folder. It stays
// there: a file that is removed while another process waits for it locks nothing.
const claimFile = ".lock"

// claim makes a folder this process's alone until release is called.
type claim func(dir string) (release func(), err error)

// hold claims a folder, and makes it where it is not there.
func hold(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	l := flock.New(filepath.Join(dir, claimFile))
	switch locked, err := l.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock the run folder: %w", err)
	case !locked:
		return nil, adapters.Errorf(adapters.Unavailable, "another process is training in %s", dir).
			WithRemedy("wait until it has ended, or give another folder with --out")
	}
	return func() { _ = l.Unlock() }, nil // the end of the process unlocks it too
}

// begun reports whether a folder holds a run.
func begun(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, recipeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// claimNew claims the folder of a run that begins.
func claimNew(dir string) (release func(), err error) {
	return holdIf(dir, func() error {
		there, err := begun(dir)
		if there {
			return adapters.Errorf(adapters.Invalid, "%s holds a run already", dir).
				WithRemedy("go on with it by --resume, or give another folder with --out")
		}
		return err
	})
}

// claimOld claims the folder of a run that is gone on with.
func claimOld(dir string) (release func(), err error) {
	there, err := begun(dir)
	if err == nil && !there {
		err = adapters.Errorf(adapters.NotFound, "%s holds no run to resume", dir).
			WithRemedy("give the run's folder with --out, or start without --resume")
	}
	if err != nil {
		return nil, err
	}
	return hold(dir)
}

// claimAnew claims the folder of a run that takes an earlier one's place.
func claimAnew(dir string) (release func(), err error) {
	return holdIf(dir, func() error {
		there, err := begun(dir)
		if err != nil || !there {
			return err
		}
		if err := empty(dir); err != nil {
			return fmt.Errorf("replace an earlier run: %w", err)
		}
		return nil
	})
}

// holdIf claims a folder, and gives it back where it does not suit.
func holdIf(dir string, suits func() error) (release func(), err error) {
	if release, err = hold(dir); err != nil {
		return nil, err
	}
	if err := suits(); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// empty removes everything from a claimed folder.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == claimFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// inRun does work as the only process that writes into a run folder. What is
// said meanwhile, and what ends it early, stand in the folder's log.
func (p *program) inRun(ctx context.Context, dir string, c claim, work func() error) error {
	release, err := c(dir)
	if err != nil {
		return err
	}
	defer release()
	f, err := os.OpenFile(filepath.Join(dir, logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the run's log: %w", err)
	}
	defer p.closing(f)()
	h := slog.NewTextHandler(f, &slog.HandlerOptions{Level: min(slog.LevelDebug, p.level.Level()), ReplaceAttr: loglevel.NameTrace})
	defer p.sinks.Add(h)()
	err = work()
	switch log := slog.New(h); {
	case err != nil && ctx.Err() != nil:
		log.Info("the run was interrupted", "where", err)
	case err != nil:
		log.Error("the run did not finish", "error", err)
	}
	return err
}
