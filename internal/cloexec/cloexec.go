// Package cloexec keeps this process's open files from programs that it starts.
//
// Go opens files so that a program does not inherit them. What this process itself
// inherited from a shell, a CI runner or a supervisor is not so, nor what libraries
// in C open: a sandbox, which looks at paths, would not stop a program that has them.
package cloexec

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// first is the lowest descriptor that is none of the standard ones.
const first = 3

// Keep marks everything that is open, the standard descriptors aside, so that
// programs started from now on have none of it. Files that are handed over on
// purpose, as [os/exec.Cmd.ExtraFiles], are copies and not affected.
func Keep() error {
	switch err := keepRange(); {
	case err == nil:
		return nil
	case !errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("keep open files from the programs that are started: %w", err)
	}
	return keepEach()
}

// keepEach is Keep for systems that cannot do it in one call.
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
