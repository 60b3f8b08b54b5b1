package adapters

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// RemedyOf returns the remedy that err prints: that of the first [Error] in err's chain that
// has one. It is empty if there is none.
func RemedyOf(err error) string {
	for e := range eachError(err) {
		if e.Remedy != "" {
			return e.Remedy
		}
	}
	return ""
}

// WithoutRemedy returns an error that prints err's text without remedies. errors.Is and
// errors.As find in it what they find in err. Use it where the advice does not apply, such as
// in a list of reasons.
func WithoutRemedy(err error) error {
	if RemedyOf(err) == "" {
		return err
	}
	text := err.Error()
	for e := range eachError(err) {
		if e.Remedy != "" {
			bare := *e
			bare.Remedy = ""
			bare.Err = WithoutRemedy(e.Err)
			text = strings.ReplaceAll(text, e.Error(), bare.Error())
		}
	}
	return &plain{err, text}
}

// eachError yields the errors of type [Error] in err's tree, the outer ones first.
func eachError(err error) func(yield func(*Error) bool) {
	return func(yield func(*Error) bool) { walkErrors(err, yield) }
}

func walkErrors(err error, yield func(*Error) bool) bool {
	if e, ok := err.(*Error); ok && e != nil && !yield(e) {
		return false
	}
	switch e := err.(type) {
	case nil, *plain:
		return true
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if !walkErrors(inner, yield) {
				return false
			}
		}
		return true
	}
	return walkErrors(errors.Unwrap(err), yield)
}

// withoutRemedies returns the arguments of a format with the remedies of errors left out, and
// the first of these remedies.
func withoutRemedies(args []any) (bare []any, remedy string) {
	bare = slices.Clone(args)
	for i, arg := range args {
		if err, ok := arg.(error); ok && RemedyOf(err) != "" {
			bare[i] = WithoutRemedy(err)
			remedy = cmp.Or(remedy, RemedyOf(err))
		}
	}
	return bare, remedy
}

// plain is an error with another text, which holds no remedy.
type plain struct {
	err  error
	text string
}

func (p *plain) Error() string { return p.text }
func (p *plain) Unwrap() error { return p.err }
