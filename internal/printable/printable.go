// Package printable escapes untrusted text for a terminal.
package printable

import (
	"strconv"
	"strings"
	"unicode"
)

// Text escapes control characters and invalid UTF-8 in Go's syntax. It does not change newlines and
// tabs.
func Text(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
