package procfs

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"slices"
)

// Marked lists the processes, except this one, that were started with this value of an
// environment variable. It skips processes that have ended, and processes of other users whose
// environment this user may not read.
func Marked(key, value string) iter.Seq[int] {
	entry, self := []byte(key+"="+value), os.Getpid()
	return func(yield func(int) bool) {
		for p := range All() {
			if p.PID == self || p.Ended() {
				continue
			}
			environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID)) // of another user's it fails
			marked := err == nil && bytes.Contains(environ, entry) &&
				slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(e []byte) bool { return bytes.Equal(e, entry) })
			if marked && !yield(p.PID) {
				return
			}
		}
	}
}
