// Package printable escapes untrusted text for a terminal, and shortens what a message repeats of it.
package printable

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text escapes control characters and invalid UTF-8 in Go's syntax. It does not change newlines and
// tabs.
func Text(s string) string {
	return escape(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool { return r == '\n' || r == '\t' || shown(r) })
}

// Name escapes control characters and invalid UTF-8 in Go's syntax, newlines and tabs too: the
// result is a part of one line.
func Name(s string) string { return escape(s, shown) }

// Clip returns the first bytes of a text that is longer than most bytes, without a part of a
// character, and an ellipsis. Messages repeat what a stranger sent in this form.
func Clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// shown reports whether a terminal shows a character in its place. The joiners of emoji and of
// scripts such as Persian are allowed.
func shown(r rune) bool {
	return unicode.IsPrint(r) || unicode.Is(unicode.Zs, r) || r == '\u200c' || r == '\u200d'
}

func escape(s string, keep func(rune) bool) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case keep(r):
			b.WriteString(s[:size])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		s = s[size:]
	}
	return b.String()
}

// Fprintf is [fmt.Fprintf] whose format is trusted and whose arguments are not: [Name] escapes
// strings, errors and values with a String method, also where the verb has a width.
func Fprintf(w io.Writer, format string, args ...any) (int, error) {
	safe := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			safe[i] = argument(a)
		case error:
			safe[i] = argument(a.Error())
		case fmt.Stringer:
			safe[i] = argument(a.String())
		default:
			safe[i] = a
			if v := reflect.ValueOf(a); v.Kind() == reflect.String {
				safe[i] = argument(v.String())
			}
		}
	}
	return fmt.Fprintf(w, format, safe...)
}

// argument is a string that is escaped when it is formatted. The verb %q escapes by itself.
type argument string

// Format implements [fmt.Formatter].
func (a argument) Format(f fmt.State, verb rune) {
	text := string(a)
	if verb != 'q' {
		text = Name(text)
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), text)
}
