package parts

import (
	"errors"
	"fmt"

	"github.com/modular-bridging/bridge/data/record"
)

// reason is an error with the kind of reason for which a record is bad.
type reason struct {
	why record.Why
	err error
}

func (r *reason) Error() string { return r.err.Error() }
func (r *reason) Unwrap() error { return r.err }

// Because returns an error that says why a record is bad.
func Because(why record.Why, format string, args ...any) error {
	return &reason{why, fmt.Errorf(format, args...)}
}

// Why returns why a record is bad: the reason of the first [Because] in the tree of the error, or
// that it is damaged.
func Why(err error) record.Why {
	var r *reason
	if errors.As(err, &r) {
		return r.why
	}
	return record.Damaged
}
