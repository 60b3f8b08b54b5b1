package testenv

import (
	"os"
	"path/filepath"
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

// ReadOnly returns an empty folder on its own file system that is read-only for root too. If the
// file system cannot be mounted, the test ends with [Lacking].
func ReadOnly(t testing.TB) string {
	t.Helper()
	dir := SmallDisk(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		Lacking(t, "the right to make a file system read-only", err)
	}
	return dir
}

// Fill fills the file system of a folder that [SmallDisk] returned.
func Fill(t testing.TB, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 1<<20), 0o644); err == nil {
		t.Fatal("the disk is not full")
	}
}
