//go:build !unix

package mapped

import "os"

// mapFile reads a file into memory, because this system cannot map it.
func mapFile(path string) ([]byte, os.FileInfo, func() error, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, nil, err
	}
	data, err := os.ReadFile(path)
	return data, info, func() error { return nil }, err
}
