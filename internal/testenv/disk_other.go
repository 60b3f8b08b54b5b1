//go:build !linux

package testenv

import (
	"errors"
	"testing"
)

// SmallDisk ends the test with [Lacking], because it is implemented only for Linux.
func SmallDisk(t testing.TB) string {
	t.Helper()
	Lacking(t, "the right to mount a small file system", errors.New("implemented only for Linux"))
	return ""
}

// ReadOnly ends the test with [Lacking], like [SmallDisk].
func ReadOnly(t testing.TB) string { return SmallDisk(t) }

// Fill does nothing, because [SmallDisk] has ended the test.
func Fill(testing.TB, string) {}
