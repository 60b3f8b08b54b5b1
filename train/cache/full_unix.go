//go:build unix

package cache

import (
	"errors"

	"golang.org/x/sys/unix"
)

// full reports whether the disk, a quota or a file-size limit took no more.
func full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}
