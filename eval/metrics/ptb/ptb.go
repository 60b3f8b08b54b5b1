// Package ptb splits English captions into the tokens that caption metrics compare, as the
// Stanford PTB tokenizer of CoreNLP 3.4.1 does it for pycocoevalcap (options -preserveLines
// -lowerCase). The rules were found by observing what the program prints; see
// docs/decisions/0025-caption-metrics.md.
//
// At every place of the text, all rules are tried. The one that reads furthest gives the
// token, with the text that must follow counted in; the first of equals counts. So the files
// of this package are lists of rules: words.go, apostrophes.go, numbers.go, periods.go,
// signs.go.
//
// The package knows texts alone. It is not a tokenizer of a language model.
package ptb

import (
	"slices"
	"strings"
	"unicode"
)

// Tokenize returns the tokens of each line, in lower case, with one space between them. A line
// must not contain a line feed. Whether a period ends a sentence depends on what follows, so
// the beginning of the next line matters: after "inc." a capital adds a token ".".
func Tokenize(lines []string) []string {
	s := scanner{text: []rune(strings.Join(lines, "\n"))}
	out := make([]string, 0, len(lines))
	var line strings.Builder
	for s.at < len(s.text) {
		r := s.text[s.at]
		switch {
		case r == '\n':
			out = append(out, line.String())
			line.Reset()
			s.at++
		case isSpace(r):
			s.at++
		default:
			for _, token := range s.next() {
				if line.Len() > 0 {
					line.WriteByte(' ')
				}
				line.WriteString(lower(token))
			}
		}
	}
	if len(lines) > 0 {
		out = append(out, line.String())
	}
	return out
}

// dropped are the tokens that pycocoevalcap leaves out. Brackets are not among them, because
// they come in lower case: the list has them as -LRB- and so on.
var dropped = map[string]bool{
	"''": true, "'": true, "``": true, "`": true, ".": true, "?": true, "!": true, ",": true, ":": true,
	"-": true, "--": true, "...": true, ";": true,
}

// Words returns each caption as pycocoevalcap's PTBTokenizer does: its tokens without
// punctuation, with one space between them. Line feeds in captions count as spaces.
func Words(captions []string) []string {
	lines := make([]string, len(captions))
	for i, c := range captions {
		lines[i] = strings.ReplaceAll(c, "\n", " ")
	}
	return Drop(Tokenize(lines))
}

// Drop removes the tokens that pycocoevalcap leaves out from each tokenised line, in place.
func Drop(lines []string) []string {
	for i, line := range lines {
		tokens := slices.DeleteFunc(strings.Split(strings.TrimRight(line, " "), " "), func(t string) bool { return dropped[t] })
		lines[i] = strings.Join(tokens, " ")
	}
	return lines
}

// scanner holds the whole text and the place of the next token.
type scanner struct {
	text []rune
	at   int
}

// match is the finding of a rule: a token that ends at end, after a look at the text up to look.
type match struct {
	end, look int
	tokens    []string // nil: the text itself
}

// rule tries to match at the scanner's place. It reports a match with end 0 if there is none.
type rule func(s *scanner) match

// rules are all rules, in the order in which equals count.
var rules = slices.Concat(markupRules, apostropheRules, addressRules, numberRules, wordRules, periodRules, signRules)

// next returns the tokens at the scanner's place, and moves behind them.
func (s *scanner) next() []string {
	if end := s.plainWord(); end > 0 {
		token := string(s.text[s.at:end])
		s.at = end
		return []string{token}
	}
	var best match
	for _, r := range rules {
		if m := r(s); m.end > 0 && max(m.end, m.look) > max(best.end, best.look) {
			best = m
		}
	}
	if best.end == 0 { // a sign that no rule knows is left out
		s.at++
		return nil
	}
	tokens := best.tokens
	if tokens == nil {
		tokens = []string{string(s.text[s.at:best.end])}
	}
	s.at = best.end
	return tokens
}

// plainWord returns the end of a word of ASCII letters before a space, which no rule splits;
// 0 if there is none. Most tokens are such words.
func (s *scanner) plainWord() int {
	i := s.at
	for i < len(s.text) && isASCIILetter(s.text[i]) {
		i++
	}
	if i == s.at || s.rune(i) != ' ' && s.rune(i) != '\n' && s.rune(i) != 0 {
		return 0
	}
	if n := i - s.at; (n == 5 || n == 6) && s.assimilated() != nil {
		return 0
	}
	return i
}

// rune returns the character at a place, or 0 outside the text.
func (s *scanner) rune(i int) rune {
	if i < 0 || i >= len(s.text) {
		return 0
	}
	return s.text[i]
}

// run returns the end of the characters from i on for which is holds.
func (s *scanner) run(i int, is func(r rune) bool) int {
	for i < len(s.text) && is(s.text[i]) {
		i++
	}
	return i
}

// follows reports whether the ASCII text word stands at i, in any case.
func (s *scanner) follows(i int, word string) bool {
	for k := range len(word) {
		if r := s.rune(i + k); r >= unicode.MaxASCII || unicode.ToLower(r) != rune(word[k]) {
			return false
		}
	}
	return true
}

// lower returns a token in lower case, without soft hyphens.
func lower(token string) string {
	return strings.ReplaceAll(strings.ToLower(token), string(softHyphen), "")
}

func isSpace(r rune) bool {
	return r == ' ' || r == '\t' || r == '\r' || r == '\f' || r == '\v' || r == '\u00a0' || r == '\u3000' || '\u2000' <= r && r <= '\u200a'
}

func isASCIILetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
func isCapital(r rune) bool     { return 'A' <= r && r <= 'Z' }
func isDigit(r rune) bool       { return '0' <= r && r <= '9' }
func isAlnum(r rune) bool       { return isDigit(r) || isLetter(r) }

// softHyphen joins words and is left out of them.
const softHyphen = '\u00ad'

// isLetter reports whether words consist of r.
func isLetter(r rune) bool {
	return isASCIILetter(r) || r == softHyphen ||
		r > unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsMark(r)) && !isSuperscript(r)
}

func isSuperscript(r rune) bool { return r == 'ª' || r == 'º' }

func isApostrophe(r rune) bool { return r == '\'' || r == '’' }
