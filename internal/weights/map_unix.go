//go:build unix

package weights

import (
	"os"
	"unsafe"

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

// release gives the memory of a part of a mapping back to the system. The file is unchanged, and
// the system reads it again when the part is used again. data must be part of a result of mapFile.
// Errors are ignored, because they only cost memory.
func release(data []byte) {
	page := uintptr(os.Getpagesize())
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	from := (begin + page - 1) &^ (page - 1) // only whole pages, because other data shares the others
	to := (begin + uintptr(len(data))) &^ (page - 1)
	if to > from {
		_ = unix.Madvise(data[from-begin:to-begin], unix.MADV_DONTNEED)
	}
}
