//go:build unix

package checkpoint

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isFull reports whether the disk, a quota or a file-size limit took no more.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}
