package printable

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"über 🍎\n\tline":  "über 🍎\n\tline",
		"\x1b[2Jgone":     `\x1b[2Jgone`,
		"a\rb\x00c\u202e": `a\rb\x00c\u202e`,
		"a\xffb":          "a\uFFFDb",
		`a\x1b`:           `a\x1b`,
	} {
		if got := Text(text); got != want || Text(got) != got {
			t.Errorf("Text(%q) = %q, want %q, and the same again", text, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":                        `""`,
		"a \"dog\"\n":             `"a \"dog\"\n"`,
		"日本\x1b":                  `"日本\x1b"`,
		strings.Repeat("狗", 60):   `"` + strings.Repeat("狗", 60) + `"`,
		strings.Repeat("狗", 1000): `"` + strings.Repeat("狗", 60) + `"…`,
	} {
		if got := Quote(text); got != want {
			t.Errorf("Quote(%q) = %s, want %s", text, got, want)
		}
	}
}
