package cloexec

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"
)

// keepRange needs Linux 5.11.
func keepRange() error {
	err := unix.CloseRange(first, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) { // EPERM: a container's filter of calls that it does not know
		return errors.ErrUnsupported
	}
	return err
}
