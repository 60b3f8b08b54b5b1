package printable

import "strconv"

// maxQuoted is the number of characters that Quote shows of a text.
const maxQuoted = 60

// Quote returns a text in quotes for an error message, with escapes as in Go's syntax. Of a
// long text it shows the first 60 characters and "…".
func Quote(s string) string {
	n := 0
	for i := range s {
		if n == maxQuoted {
			return strconv.Quote(s[:i]) + "…"
		}
		n++
	}
	return strconv.Quote(s)
}
