// Package mapped maps files into memory, read-only.
package mapped

import "os"

// Map maps a regular file and returns its bytes, which must not be changed, nor used after unmap. On
// systems that cannot map files, it reads the file.
func Map(path string) (data []byte, info os.FileInfo, unmap func() error, err error) {
	return mapFile(path)
}
