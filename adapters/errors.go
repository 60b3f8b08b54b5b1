package adapters

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind classifies an [Error], so that a caller can decide what to do about it. The values
// cross the process boundary: they are append-only.
type Kind uint8

// The kinds of failure.
const (
	Unknown     Kind = iota
	Invalid          // the request breaks the contract: correct the request
	NotFound         // a file, folder, id or tensor does not exist
	Unsupported      // the adapter cannot do this; the message says what it can
	Corrupt          // a file exists but is not valid
	Exhausted        // memory, disk or a size limit ran out
	Canceled         // the caller gave up
	Unavailable      // the process behind the adapter died or cannot start: a repeat may work
	Internal         // a bug in the adapter
)

var kindNames = [...]string{"unknown", "invalid", "not found", "unsupported", "corrupt", "exhausted", "canceled", "unavailable", "internal"}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Error is the error of every adapter. It survives the process boundary: kind,
// message, field and remedy arrive as they were sent.
type Error struct {
	Kind    Kind
	Op      string // the operation: "load", "loss", …; empty if the message names it
	Message string // what, got, wanted
	Field   string // the wrong part of the request or the checkpoint: "examples[3].target"; may be empty
	Remedy  string // advice for the user; may be empty
	Err     error  // the cause; its text is part of Message across a process boundary
}

// Error returns "op: message: cause (in field; remedy)". It leaves out a field that the
// message names. If the message has several lines, the part in parentheses gets its own
// line.
func (e *Error) Error() string {
	s := e.Message
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Err != nil && e.Err.Error() != "" {
		s += ": " + e.Err.Error()
	}
	var notes []string
	if e.Field != "" && !strings.Contains(e.Message, e.Field) {
		notes = append(notes, "in "+e.Field)
	}
	if e.Remedy != "" {
		notes = append(notes, e.Remedy)
	}
	if len(notes) > 0 {
		between := " "
		if strings.Contains(s, "\n") {
			between = "\n"
		}
		s += between + "(" + strings.Join(notes, "; ") + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an error of a kind. A %w verb becomes its cause.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Err: hidden(errors.Unwrap(err))}
}

// WithRemedy returns e with advice for the user.
func (e *Error) WithRemedy(format string, args ...any) *Error {
	c := *e
	c.Remedy = fmt.Sprintf(format, args...)
	return &c
}

// WithField returns e with the wrong part of the request or the checkpoint, as a path:
// "prompts", "examples[3].target", "config.json: hidden_size".
func (e *Error) WithField(format string, args ...any) *Error {
	c := *e
	c.Field = fmt.Sprintf(format, args...)
	return &c
}

// WithOp returns e with the operation that failed.
func (e *Error) WithOp(op string) *Error {
	c := *e
	c.Op = op
	return &c
}

// KindOf returns the kind of the first [Error] in err's chain. A canceled or
// expired context is [Canceled]; any other error is [Unknown].
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Canceled
	}
	return Unknown
}

// hidden keeps a cause reachable by errors.Is and errors.As without repeating its text,
// which the message contains.
func hidden(err error) error {
	if err == nil {
		return nil
	}
	return silent{err}
}

type silent struct{ err error }

func (s silent) Error() string { return "" }
func (s silent) Unwrap() error { return s.err }
