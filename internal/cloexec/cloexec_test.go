package cloexec

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A program that is started does not inherit open files, whichever way they are marked.
func TestKeep(t *testing.T) {
	for name, keep := range map[string]func() error{"at once": Keep, "each": keepEach} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			fd, err := unix.Dup(int(f.Fd())) // as what was inherited: not marked
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if !inherited(fd) {
				t.Fatal("the descriptor is not inherited before: the test shows nothing")
			}
			if err := keep(); err != nil {
				t.Fatal(err)
			}
			if inherited(fd) {
				t.Errorf("descriptor %d is inherited", fd)
			}
		})
	}
}

// inherited reports whether a program that is started now has a descriptor open.
func inherited(fd int) bool {
	return exec.Command("/bin/sh", "-c", fmt.Sprintf(": <&%d", fd)).Run() == nil
}
