package testenv

import (
	"testing"

	"golang.org/x/sys/unix"
)

// SmallDisk returns an empty folder on its own file system of 256 KiB. If the file system cannot be
// mounted, the test ends with [Lacking].
func SmallDisk(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		Lacking(t, "the right to mount a small file system", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
