//go:build unix

package backends

import (
	"os"
	"syscall"
)

// replaceProcess runs a program in place of this one, with the same arguments. It returns only if it fails.
func replaceProcess(program string) {
	_ = syscall.Exec(program, os.Args, os.Environ())
}
