//go:build !linux

package testenv

import (
	"errors"
	"testing"
)

// SmallDisk ends the test: only Linux mounts one.
func SmallDisk(t testing.TB) string {
	t.Helper()
	Lacking(t, "the right to mount a small file system", errors.New("only done on Linux"))
	return ""
}
