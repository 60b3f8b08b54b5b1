// Package printable makes texts of strangers fit for a terminal.
package printable

import (
	"strconv"
	"strings"
	"unicode"
)

// Text shows what a terminal would obey, or what is no text, as Go quotes it.
// Lines and tabs stay.
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
