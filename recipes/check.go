package recipes

import (
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/internal/didyoumean"
)

// The checks that the tables share. Each reports a problem at a dotted key.

// want reports a problem at key unless ok.
func (r *Recipe) want(key string, ok bool, format string, args ...any) {
	if !ok {
		r.doc.Errorf(key, format, args...)
	}
}

// oneOf reports a value that is not among the choices, with the nearest one.
func (r *Recipe) oneOf(key, value string, choices ...string) {
	r.want(key, slices.Contains(choices, value), "is %q, want one of %s%s", value, strings.Join(choices, ", "), didyoumean.Hint(value, choices))
}

// fraction reports a value outside 0 to 1.
func (r *Recipe) fraction(key string, v float64) {
	r.want(key, v >= 0 && v <= 1, "is %v, want a fraction between 0 and 1", v)
}

// learningRate reports a value that is not a learning rate. 0 is allowed if the rate is
// optional.
func (r *Recipe) learningRate(key string, v float64, optional bool) {
	r.want(key, v > 0 && v <= 1 || optional && v == 0, "is %v, want a learning rate above 0 and at most 1", v)
}
