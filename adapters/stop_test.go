package adapters_test

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestStopTexts(t *testing.T) {
	for _, c := range []struct {
		text   string
		stop   []string
		before string
		found  bool
		held   string // of the text, if it may go on
	}{
		{"a cat", nil, "a cat", false, "a cat"},
		{"a cat. A dog.", []string{"dog", "."}, "a cat", true, "a cat. A dog."},
		{"a cat", []string{"cat and", "dog"}, "a cat", false, "a "},
		{"aab", []string{"abab", "b!"}, "aab", false, "a"},
		{"", []string{"x"}, "", false, ""},
		{"x", []string{"x"}, "", true, "x"},
		{"wörter ö", []string{"öx", "ö y"}, "wörter ö", false, "wörter "},
	} {
		before, found := adapters.CutAtStop(c.text, c.stop)
		if before != c.before || found != c.found {
			t.Errorf("%q is cut at %q to %q (%v), want %q (%v)", c.text, c.stop, before, found, c.before, c.found)
		}
		if held := adapters.HoldBack(c.text, c.stop); held != c.held {
			t.Errorf("of %q, %q is streamed before %q, want %q", c.text, held, c.stop, c.held)
		}
	}
}

// However an answer grows, what is streamed is the beginning of what is left of it in the end.
func FuzzStopTexts(f *testing.F) {
	f.Add("a cat sat on a mat", "at o", "mat")
	f.Add("aaab", "aab", "ab")
	f.Fuzz(func(t *testing.T, text, one, two string) {
		if one == "" || two == "" {
			return
		}
		stop := []string{one, two}
		streamed := ""
		for n := range len(text) + 1 {
			before, found := adapters.CutAtStop(text[:n], stop)
			if !strings.HasPrefix(before, streamed) {
				t.Fatalf("%q was streamed of %q, which ends as %q (%v) before %q", streamed, text[:n], before, found, stop)
			}
			if found {
				return
			}
			streamed = adapters.HoldBack(before, stop)
		}
	})
}
