//go:build !linux

package memfile

import (
	"errors"
	"os"
)

// errNoMemory is returned by all functions on this system, so tensors are sent as chunks.
var errNoMemory = errors.New("only Linux has memory files that can be sealed")

// New fails.
func New(int64) (*os.File, error) { return nil, errNoMemory }

// Seal fails.
func Seal(*os.File, bool) error { return errNoMemory }

// Punch fails.
func Punch(*os.File, int64, int64) error { return errNoMemory }
