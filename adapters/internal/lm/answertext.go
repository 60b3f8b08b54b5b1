package lm

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
)

// answerText is the text of an answer that is being generated: what of it is certain, where a
// stop text ends it, and what the pieces of it have said. The zero value has no text.
type answerText struct {
	text    string // outer white space trimmed
	stopped bool   // at a stop text
	final   bool   // nothing will change any more

	emitted string
	spans   []tokenSpan // of the tokens, if their scores are requested
	scored  int         // tokens that text completes
	said    int         // tokens whose scores the pieces have had
}

// tokenSpan is the place of a token in the decoded text. A character that several tokens make is
// the place of each of them.
type tokenSpan struct{ from, to int }

// pending is the end of a token whose character is not complete.
const pending = -1

// read takes over the decoded text of the answer's certain ids. Complete says that no token
// follows.
func (a *answerText) read(decoded string, stop []string, complete bool) {
	if !complete {
		decoded = strings.TrimRight(decoded, string(utf8.RuneError)) // it may be half of a character
	}
	decoded, a.stopped = adapters.CutAtStop(decoded, stop)
	if !complete && !a.stopped {
		decoded = adapters.HoldBack(decoded, stop)
	}
	a.final = complete || a.stopped
	a.text = strings.TrimFunc(decoded, isSpace)
	a.count(len(strings.TrimRightFunc(decoded, isSpace)), len(decoded))
}

// locate records where the latest token stands, if decoded is the text of one more token than
// before, whether certain or not.
func (a *answerText) locate(decoded string, tokens int, complete bool) {
	n := len(a.spans)
	from := 0
	if n > 0 {
		if from = a.spans[n-1].to; from == pending {
			from = a.spans[n-1].from
		}
	}
	for ; n < tokens; n++ {
		a.spans = append(a.spans, tokenSpan{from, pending})
	}
	if !complete && strings.HasSuffix(decoded, string(utf8.RuneError)) {
		return
	}
	for i := n - 1; i >= 0 && a.spans[i].to == pending; i-- {
		a.spans[i].to = len(decoded)
	}
}

// count finds the tokens that the text completes: those up to a number of bytes or, in a final
// text, all that begin before its end.
func (a *answerText) count(bytes, end int) {
	a.scored = 0
	for _, s := range a.spans {
		switch {
		case a.stopped && s.from >= end:
			return
		case !a.final && (s.to == pending || s.to > bytes):
			return
		}
		a.scored++
	}
}

// unsaid returns the text that has become certain since the last call, and the range of the
// tokens that it completes. There is nothing to say unless some is true.
func (a *answerText) unsaid() (text string, from, to int, some bool) {
	text, grew := strings.CutPrefix(a.text, a.emitted)
	if !grew || text == "" && !(a.final && a.scored > a.said) {
		return "", 0, 0, false
	}
	from, to = a.said, a.scored
	a.emitted, a.said = a.text, a.scored
	return text, from, to, true
}

// isSpace reports what Python's strip takes for white space, which the reference uses
// to trim: Unicode's white space, and the separators U+001C to U+001F.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
