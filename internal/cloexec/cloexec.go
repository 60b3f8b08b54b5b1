// Package cloexec prevents programs that this process starts from inheriting its open files.
//
// Go opens files with close-on-exec. Files that this process inherited from a shell, a CI runner or
// a supervisor do not have that flag, nor do files that C libraries open. A program could use such
// a file even in a sandbox, because the sandbox checks only paths.
package cloexec

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// first is the lowest descriptor after the standard descriptors.
const first = 3

// MarkAll marks all open files, except the standard descriptors, as close-on-exec, so that programs
// started from now on do not inherit them. Files in [os/exec.Cmd.ExtraFiles] are copies and not
// affected.
func MarkAll() error {
	switch err := markRange(); {
	case err == nil:
		return nil
	case !errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("mark open files as close-on-exec: %w", err)
	}
	return markEach()
}

// markEach implements MarkAll on systems without a call for a range of files.
func markEach() error {
	syscall.ForkLock.RLock() // prevents the start of programs meanwhile
	defer syscall.ForkLock.RUnlock()
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return fmt.Errorf("list the open files: %w", err)
	}
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd) // the descriptor of the listing is already closed
		}
	}
	return nil
}
