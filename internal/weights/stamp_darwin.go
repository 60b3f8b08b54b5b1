package weights

import (
	"os"
	"syscall"
)

// stampOf returns a file's stamp.
func stampOf(info os.FileInfo) stamp {
	s := stamp{Size: info.Size(), Modified: info.ModTime().UnixNano()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Changed, s.Inode = stat.Ctimespec.Nano(), stat.Ino
	}
	return s
}
