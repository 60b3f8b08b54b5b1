// Package diskfull recognizes errors of a full disk, and gives them a kind and a remedy.
package diskfull

import (
	"errors"
	"syscall"

	"github.com/modular-bridging/bridge/adapters"
)

// Is reports whether err is the error of a full disk, an exceeded quota or a file-size limit.
func Is(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// Explain returns an error of kind Exhausted, with what and a remedy, if err is the error of a full
// disk. Otherwise it returns err. If err already has a remedy, the new one replaces the old one, because the outer caller knows better what to do.
func Explain(err error, what, remedy string) error {
	if !Is(err) {
		return err
	}
	return adapters.Errorf(adapters.Exhausted, "%s: %w", what, err).ReplaceRemedy("%s", remedy)
}
