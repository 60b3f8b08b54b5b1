package textcut_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/train/textcut"
)

// counter counts tokens by a function, and the bytes that it was asked about.
type counter struct {
	count func(string) int
	bytes int
	calls int
}

func (c *counter) CountTokens(_ context.Context, texts []string) ([]int32, error) {
	c.calls++
	counts := make([]int32, len(texts))
	for i, text := range texts {
		c.bytes += len(text)
		counts[i] = int32(c.count(text))
	}
	return counts, nil
}

// counters count like the kinds of tokenizers do.
func counters() map[string]func(string) int {
	return map[string]func(string) int{
		"bytes":      func(s string) int { return len(s) },
		"characters": utf8.RuneCountInString,
		"words":      func(s string) int { return len(strings.Fields(s)) },
		// A whole word is one token, a part of one takes a token a letter.
		"known words": func(s string) int {
			n := 0
			for _, word := range strings.Fields(s) {
				if word == "photograph" || word == "of" || word == "a" {
					n++
				} else {
					n += utf8.RuneCountInString(word)
				}
			}
			return n
		},
		"prefixed":   func(s string) int { return 1 + (len(s)+3)/4 },
		"lengthened": func(s string) int { return 18 * strings.Count(s, "ﷺ") },
		"none":       func(string) int { return 0 },
	}
}

// A cut text is a prefix in whole characters that fits, and neither one character more
// fits nor, among short texts, any number.
func TestLongestPrefix(t *testing.T) {
	alphabet := []rune("ab of photograph 日本語ไทยئ👩‍🚀é\u0301\u00a0\n\tﷺ")
	rng := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", " ", "a photograph of a photograph of a photograph", strings.Repeat(" ", 50), strings.Repeat("狗", 200)}
	for range 60 {
		var b strings.Builder
		for range rng.IntN(80) {
			b.WriteRune(alphabet[rng.IntN(len(alphabet))])
		}
		texts = append(texts, b.String())
	}
	for name, count := range counters() {
		for _, text := range texts {
			for _, limit := range []int{1, 2, 3, 7, 31, 1000} {
				got, err := textcut.Longest(t.Context(), &counter{count: count}, text, limit)
				if err != nil {
					t.Fatal(err)
				}
				if want := longest(text, count, limit); got != want {
					t.Errorf("%s, at most %d tokens: %q of %q, want %q", name, limit, got, text, want)
				}
			}
		}
	}
}

// longest tries every prefix.
func longest(text string, count func(string) int, limit int) string {
	for n := len(text); n > 0; n-- {
		if (n == len(text) || utf8.RuneStart(text[n])) && count(text[:n]) <= limit {
			return text[:n]
		}
	}
	return ""
}

// A long text costs little more than reading it twice, in few calls.
func TestLongTextsCostLittle(t *testing.T) {
	c := &counter{count: utf8.RuneCountInString}
	text := strings.Repeat("狗", 1_000_000)
	got, err := textcut.Longest(t.Context(), c, text, 31)
	if err != nil || got != text[:93] {
		t.Errorf("%q, %v", got, err)
	}
	if c.calls > 12 || c.bytes > 3*len(text) {
		t.Errorf("%d calls about %d bytes for a text of %d", c.calls, c.bytes, len(text))
	}
}

func TestNoLimitLeavesNothing(t *testing.T) {
	for _, limit := range []int{0, -1} {
		if got, err := textcut.Longest(t.Context(), &counter{count: utf8.RuneCountInString}, "a dog", limit); got != "" || err != nil {
			t.Errorf("at most %d tokens: %q, %v", limit, got, err)
		}
	}
}

type failing struct{ err error }

func (f failing) CountTokens(context.Context, []string) ([]int32, error) { return nil, f.err }

func TestErrorsOfTheCounterAreReturned(t *testing.T) {
	want := errors.New("gone")
	if _, err := textcut.Longest(t.Context(), failing{want}, "a dog", 3); !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
	if _, err := textcut.Longest(t.Context(), failing{}, "a dog", 3); err == nil {
		t.Error("a counter that returns no counts is taken")
	}
}
