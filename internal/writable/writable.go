// Package writable says what to do about folders that cannot be written: each has an environment
// variable that moves it.
package writable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/diskfull"
)

// Refused reports whether err says that a file or folder cannot be written whatever is tried: its
// file system is read-only, the user may not write to it, a file takes the folder's place, or the
// disk is full.
func Refused(err error) bool {
	return diskfull.Is(err) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOTDIR)
}

// Explain returns err, or an error that names the variable that moves dir if err is [Refused] and
// came from a write in dir. The error has this one remedy.
func Explain(err error, dir, variable string) error {
	if !Refused(err) {
		return err
	}
	what := "cannot write to " + dir
	if diskfull.Is(err) {
		return diskfull.Explain(err, what, "free disk space, or set "+variable+" to a folder on a larger disk")
	}
	return adapters.Errorf(adapters.Unsupported, "%s: %w", what, err).WithRemedy("set %s to a folder that you can write to", variable)
}

// Check returns an error if files cannot be written to dir. If dir does not exist, it checks whether
// dir can be created. Check writes nothing.
func Check(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return &fs.PathError{Op: "write", Path: dir, Err: syscall.ENOTDIR}
		case err == nil:
			return check(dir)
		case !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir:
			return err
		}
		dir = filepath.Dir(dir)
	}
}

// check is [Check] for a folder that exists.
func check(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write", Path: dir, Err: err}
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err == nil && disk.Blocks > 0 && disk.Bavail == 0 {
		return &fs.PathError{Op: "write", Path: dir, Err: syscall.ENOSPC}
	}
	return nil
}
