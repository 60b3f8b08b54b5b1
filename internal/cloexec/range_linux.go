package cloexec

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"
)

// markRange implements MarkAll with one call. It needs Linux 5.11.
func markRange() error {
	err := unix.CloseRange(first, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	// A container's filter returns EPERM for calls that it does not know.
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		return errors.ErrUnsupported
	}
	return err
}
