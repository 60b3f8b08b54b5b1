// Package shell writes commands that a user can paste into a POSIX shell. The text has no control
// characters, so a file name cannot change what a terminal shows. Libraries that quote words for a
// shell print such characters unchanged.
package shell

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/internal/printable"
)

// plain holds the characters that need no quotes. "~", "=" and "#" are special only at some places.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+:,./-"

// Word returns s in quotes that a POSIX shell reads as the one word s. Words of plain characters
// stay as they are. Control characters, characters that a terminal does not show and invalid UTF-8
// become octal numbers for printf. Newlines at the end of s stay, because a shell would drop them
// from printf's output. A shell has no words with NUL: Word drops what follows one.
func Word(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	body := strings.TrimRight(s, "\n")
	newlines := s[len(body):]
	word := quoted(body)
	if printable.Name(body) != body {
		word = `"$(printf '` + octal(body) + `')"`
	}
	switch {
	case newlines == "":
		return word
	case body == "":
		return quoted(newlines)
	}
	return word + quoted(newlines)
}

// Path returns a path as a word that programs do not take for a flag.
func Path(path string) string { return Word(Operand(path)) }

// Operand returns a path that programs do not take for a flag: "./" is added before a "-".
func Operand(path string) string {
	if strings.HasPrefix(path, "-") {
		return "./" + path
	}
	return path
}

// Command returns a command line of words, each quoted. A path that may begin with "-" needs
// [Operand].
func Command(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Word(w)
	}
	return strings.Join(quoted, " ")
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// octal returns s as a format of printf that is safe in single quotes. printf takes a "-" at the start
// for a flag.
func octal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		part := s[i : i+size]
		i += size
		switch {
		case r == '%':
			b.WriteString("%%")
		case r == '\'' || r == '\\' || b.Len() == 0 && r == '-' || printable.Name(part) != part:
			for _, c := range []byte(part) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteString(part)
		}
	}
	return b.String()
}
