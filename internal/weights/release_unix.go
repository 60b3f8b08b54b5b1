//go:build unix

package weights

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// release gives the memory of a part of a mapping back to the system. The file is unchanged, and
// the system reads it again when the part is used again. data must be part of a result of mapped.Map.
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
