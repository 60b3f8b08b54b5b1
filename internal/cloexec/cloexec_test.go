package cloexec

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// After MarkAll, a started program has no open file of this process, for both implementations.
func TestMarkAll(t *testing.T) {
	for name, keep := range map[string]func() error{"at once": MarkAll, "each": markEach} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			fd, err := unix.Dup(int(f.Fd())) // not marked, like an inherited file
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if !inherited(fd) {
				t.Fatal("the descriptor is not inherited before MarkAll, so the test has no meaning")
			}
			if err := keep(); err != nil {
				t.Fatal(err)
			}
			if inherited(fd) {
				t.Errorf("descriptor %d is inherited after MarkAll", fd)
			}
		})
	}
}

// inherited reports whether a program that is started now inherits a descriptor.
func inherited(fd int) bool {
	return exec.Command("/bin/sh", "-c", fmt.Sprintf(": <&%d", fd)).Run() == nil
}
