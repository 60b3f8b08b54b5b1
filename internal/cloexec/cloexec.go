// Package cloexec prevents programs that this process starts from inheriting its open files.
//
// Files that Go opens are not inherited. Files that this process has inherited itself, from a
// shell, a CI runner or a supervisor, and files that C libraries open, are. A sandbox checks
// paths, and would not stop a program from using such files.
package cloexec

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// first is the lowest descriptor after the standard ones.
const first = 3

// Keep marks all open files, except the standard descriptors, so that programs started from
// now on do not inherit them. Files that are passed on purpose, with
// [os/exec.Cmd.ExtraFiles], are copies and not affected.
func Keep() error {
	switch err := keepRange(); {
	case err == nil:
		return nil
	case !errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("keep open files from the programs that are started: %w", err)
	}
	return keepEach()
}

// keepEach is [Keep] for systems that need a call for each file.
func keepEach() error {
	syscall.ForkLock.RLock() // no program starts meanwhile
	defer syscall.ForkLock.RUnlock()
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return fmt.Errorf("list the open files: %w", err)
	}
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd) // that of the listing is closed by now
		}
	}
	return nil
}
