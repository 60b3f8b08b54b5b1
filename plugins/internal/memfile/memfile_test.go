package memfile

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A file beyond the limit would end the process with a signal, so New checks the limit.
func TestFileSizeLimit(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
	}()
	if f, err := New(1 << 21); err == nil {
		f.Close()
		t.Error("got a memory file beyond the limit")
	}
}
