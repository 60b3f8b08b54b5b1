//go:build !linux && !darwin

package weights

import "os"

// stampOf returns a file's stamp, without the time of the last change: no digest is kept.
func stampOf(info os.FileInfo) stamp {
	return stamp{Size: info.Size(), Modified: info.ModTime().UnixNano()}
}
