package memfile

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// New makes a memory file without a name, of a fixed size. Its pages
// appear when they are first touched.
func New(size int64) (*os.File, error) {
	var limit unix.Rlimit // beyond it the kernel does not refuse, it kills
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err == nil && limit.Cur < uint64(size) {
		return nil, fmt.Errorf("files may have %d bytes (RLIMIT_FSIZE), want %d", limit.Cur, size)
	}
	if size > math.MaxInt {
		return nil, fmt.Errorf("%d bytes are beyond this machine's addresses", size)
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("bridge", flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("bridge", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	file := os.NewFile(uintptr(fd), "arena")
	if err := file.Truncate(size); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Seal fixes a memory file's size for good and, where the plugin shall not
// write, refuses every write but those through mappings that exist.
func Seal(file *os.File, readOnly bool) error {
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if readOnly {
		seals |= unix.F_SEAL_FUTURE_WRITE
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	return nil
}

// Punch frees the pages of n bytes from offset on: they read as zeros until they are
// written again.
func Punch(file *os.File, offset, n int64) error {
	return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, n)
}
