package lm

import (
	"slices"
	"strings"
	"testing"
)

// An answer is read token by token: "·" is a byte of a character that the next "·" completes.
func TestAnswerTexts(t *testing.T) {
	type piece struct {
		text   string
		tokens int
	}
	for _, c := range []struct {
		name    string
		decoded []string // after each token
		stop    []string
		text    string
		stopped bool
		scored  int
		pieces  []piece
	}{
		{"outer white space", []string{" a", " a cat", " a cat "}, nil, "a cat", false, 3, []piece{{"a", 1}, {" cat", 1}, {"", 1}}},
		{"a character of two tokens", []string{"a", "a\ufffd", "aö", "aö!"}, nil, "aö!", false, 4, []piece{{"a", 1}, {"ö", 2}, {"!", 1}}},
		{"a stop text across tokens", []string{"a", "a ca", "a cat s", "a cat sat"}, []string{"at s"}, "a c", true, 2, []piece{{"a c", 1}, {"", 1}}},
		{"the beginning of a stop text", []string{"a", "a b", "a bc"}, []string{"bcd"}, "a bc", false, 3, []piece{{"a", 1}, {" bc", 2}}},
		{"only a stop text", []string{"\n", "\n\n"}, []string{"\n"}, "", true, 0, nil},
		{"half of a character in the end", []string{"a", "a\ufffd"}, nil, "a\ufffd", false, 2, []piece{{"a", 1}, {"\ufffd", 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a answerText
			var pieces []piece
			for i, decoded := range c.decoded {
				if a.final {
					break
				}
				complete := i == len(c.decoded)-1
				a.locate(decoded, i+1, complete)
				a.read(decoded, c.stop, complete)
				if text, from, to, some := a.unsaid(); some {
					pieces = append(pieces, piece{text, to - from})
				}
			}
			if a.text != c.text || a.stopped != c.stopped || a.scored != c.scored || !slices.Equal(pieces, c.pieces) {
				t.Errorf("got %q, stopped %v, %d tokens, pieces %+v; want %q, %v, %d, %+v", a.text, a.stopped, a.scored, pieces, c.text, c.stopped, c.scored, c.pieces)
			}
			joined := ""
			for _, p := range pieces {
				joined += p.text
			}
			if joined != a.text && strings.TrimSpace(joined) != a.text {
				t.Errorf("the pieces make %q, the answer is %q", joined, a.text)
			}
		})
	}
}
