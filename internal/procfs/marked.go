package procfs

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"slices"
)

// Marked lists the processes, this one aside, that were started with a variable of
// this value, as far as this user may see what others were started with. Those that
// have ended are not among them.
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
