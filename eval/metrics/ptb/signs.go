package ptb

import (
	"strings"
	"unicode"
)

// signRules are the rules of punctuation and of other signs.
var signRules = []rule{smiley, dashes, dots, ends, quotes, brackets, repeated, currency, sign}

// smiley matches eyes, maybe a nose, and a mouth, before anything but a letter; and the faces
// with two eyes.
func smiley(s *scanner) match {
	for _, face := range []string{"^_^", "o_o", "t_t", ">_<", "-_-"} {
		if s.follows(s.at, face) {
			return match{end: s.at + 3}
		}
	}
	i := s.at
	if r := s.rune(i); r == '<' || r == '>' {
		i++
	}
	if r := s.rune(i); r != ':' && r != ';' && r != '=' {
		return match{}
	}
	i++
	if r := s.rune(i); r == '\'' || r == '-' || r == 'o' || r == '*' {
		if m := s.mouth(i + 1); m.end > 0 {
			return m
		}
	}
	return s.mouth(i)
}

// mouth matches the end of a smiley.
func (s *scanner) mouth(i int) match {
	r := s.rune(i)
	three := r == '3' && s.rune(i-1) == ':'
	if r == 0 || !three && !strings.ContainsRune("()DPdpO\\{@|[]", r) || isAlnumASCII(s.rune(i+1)) {
		return match{}
	}
	return match{end: i + 1, look: i + 2, tokens: []string{bracketed(string(s.text[s.at : i+1]))}}
}

// bracketed replaces round brackets in a token.
func bracketed(token string) string {
	return strings.NewReplacer("(", "-lrb-", ")", "-rrb-").Replace(token)
}

// dashes matches hyphens; two to four are a dash.
func dashes(s *scanner) match {
	switch s.rune(s.at) {
	case '–', '—', '―':
		return match{end: s.at + 1, tokens: []string{"--"}}
	}
	end := s.run(s.at, func(r rune) bool { return r == '-' })
	if n := end - s.at; n == 3 || n == 4 {
		return match{end: end, tokens: []string{"--"}}
	} else if n > 0 {
		return match{end: end}
	}
	return match{}
}

// dots matches an ellipsis: three to five periods, or three to five with spaces between them.
func dots(s *scanner) match {
	if s.rune(s.at) == '…' {
		return match{end: s.at + 1, tokens: []string{"..."}}
	}
	end := min(s.run(s.at, func(r rune) bool { return r == '.' }), s.at+5)
	if end-s.at >= 3 {
		return match{end: end, tokens: []string{"..."}}
	}
	i, n := s.at, 1
	for s.rune(i) == '.' && s.rune(i+1) == ' ' && s.rune(i+2) == '.' && n < 5 {
		i, n = i+2, n+1
	}
	if n < 3 {
		return match{}
	}
	return match{end: i + 1, tokens: []string{"..."}}
}

// ends matches a period, or exclamation and question marks.
func ends(s *scanner) match {
	if s.rune(s.at) == '.' {
		return match{end: s.at + 1}
	}
	end := s.run(s.at, func(r rune) bool { return r == '!' || r == '?' })
	if end == s.at {
		return match{}
	}
	return match{end: end}
}

// quotes matches quotation marks, as opening ones if they stand before a word.
func quotes(s *scanner) match {
	i := s.at
	one := func(token string) match { return match{end: i + 1, tokens: []string{token}} }
	next := s.rune(i + 1)
	switch s.rune(i) {
	case '"':
		if isDigit(next) || isASCIILetter(next) || next == '$' {
			return match{end: i + 1, look: i + 2, tokens: []string{"``"}}
		}
		return one("''")
	case '\'':
		if next == '\'' {
			return match{end: i + 2}
		}
		if after := s.rune(i + 2); isASCIILetter(next) && after != 0 && !separates(after) {
			return match{end: i + 1, look: i + 3, tokens: []string{"`"}}
		}
		return one("'")
	case '`':
		if next == '`' {
			return match{end: i + 2}
		}
		return one("`")
	case '’':
		return one("'")
	case '‘', '‛':
		return one("`")
	case '“', '„', '«':
		return one("``")
	case '”', '»':
		return one("''")
	}
	return match{}
}

var bracketNames = map[rune]string{'(': "-lrb-", ')': "-rrb-", '[': "-lsb-", ']': "-rsb-", '{': "-lcb-", '}': "-rcb-"}

// brackets matches a bracket.
func brackets(s *scanner) match {
	if name, ok := bracketNames[s.rune(s.at)]; ok {
		return match{end: s.at + 1, tokens: []string{name}}
	}
	return match{}
}

// repeated matches << and >>, and signs that are one token however often they are repeated.
func repeated(s *scanner) match {
	r := s.rune(s.at)
	switch {
	case r == '<' && s.rune(s.at+1) == r, r == '>' && s.rune(s.at+1) == r:
		return match{end: s.at + 2}
	case r == 0 || !strings.ContainsRune("*#@_", r):
		return match{}
	}
	return match{end: s.run(s.at, func(other rune) bool { return other == r })}
}

// currency matches dollars with the letters before them, and the signs that others stand for.
func currency(s *scanner) match {
	end := s.run(s.at, isCapital)
	if s.rune(end) == '$' {
		return match{end: end + 1}
	}
	switch s.rune(s.at) {
	case '£':
		return match{end: s.at + 1, tokens: []string{"#"}}
	case '€':
		return match{end: s.at + 1, tokens: []string{"$"}}
	case '¢':
		return match{end: s.at + 1, tokens: []string{"cents"}}
	}
	return match{}
}

// sign matches any other single sign of the Basic Multilingual Plane that fonts print.
func sign(s *scanner) match {
	r := s.rune(s.at)
	if r == 0 || r > 0xffff || !unicode.IsGraphic(r) || r == '‐' || r == '‑' {
		return match{}
	}
	return match{end: s.at + 1}
}
