// Package diskfull tells a full disk from other failures to write, and gives the
// error for it one kind and one remedy.
package diskfull

import (
	"errors"
	"syscall"

	"github.com/modular-bridging/bridge/adapters"
)

// Resume is the remedy of a run that could not write.
const Resume = "free disk space and go on with --resume; the newest checkpoint is intact"

// Is reports whether the disk, a quota or a file-size limit took no more.
func Is(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// Explain returns err with what was not written, of kind Exhausted, where a full
// disk is to blame, and err itself otherwise. An error that was explained before
// loses its remedy: the outer caller knows better what to do.
func Explain(err error, what, remedy string) error {
	if !Is(err) {
		return err
	}
	var inner *adapters.Error
	if errors.As(err, &inner) && inner.Kind == adapters.Exhausted {
		err = inner.WithRemedy("")
	}
	return adapters.Errorf(adapters.Exhausted, "%s: %w", what, err).WithRemedy("%s", remedy)
}
