//go:build unix

package mapped

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file into memory, read-only. The caller unmaps it.
func mapFile(path string) ([]byte, os.FileInfo, func() error, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, nil, &os.PathError{Op: "map", Path: path, Err: os.ErrInvalid}
	}
	if info.Size() == 0 { // an empty file cannot be mapped
		return nil, info, func() error { return nil }, nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, nil, &os.PathError{Op: "mmap", Path: path, Err: err}
	}
	return data, info, func() error { return unix.Munmap(data) }, nil
}
