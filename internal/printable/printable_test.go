package printable

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
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
func TestName(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\tc\r":            `a\nb\tc\r`,
		"a\xffb\ufffd":         `a\xffb` + "\ufffd",
		"\x7f\u0085\u009b2J":   `\x7f\u0085\u009b2J`,
		"\u2066\u2028\ufeff":   `\u2066\u2028\ufeff`,
		"👩\u200d🚀 猫\u3000も":    "👩\u200d🚀 猫\u3000も",
		`it's "quoted" \`:      `it's "quoted" \`,
		"می\u200cخواهم\u00a0x": "می\u200cخواهم\u00a0x",
	} {
		if got := Name(text); got != want || Name(got) != got {
			t.Errorf("Name(%q) = %q, want %q, and the same again", text, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{{"", 0, ""}, {"name", 4, "name"}, {"names", 4, "name…"}, {"naïve", 3, "na…"}, {"naïve", 4, "naï…"}, {"\xff\xfe\n", 3, "\xff\xfe\n"}, {"\xff\xfe\n", 2, "…"}} {
		if got := Clip(c.text, c.most); got != c.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

func TestFprintf(t *testing.T) {
	type kind string
	var b strings.Builder
	n, err := Fprintf(&b, "%-6s|%q|%v|%d %.1f|%s %v\n", "a\nb", "a\nb", errors.New("c\x1b"), 7, 0.5, kind("d\r"), time.Second)
	want := "a\\nb  |\"a\\nb\"|c\\x1b|7 0.5|d\\r 1s\n"
	if b.String() != want || n != len(want) || err != nil {
		t.Errorf("got %q, %d, %v, want %q", b.String(), n, err, want)
	}
}

func TestError(t *testing.T) {
	_, missing := os.Stat("/no/such\nbridge: done\x1b/file\tx")
	err := errors.Join(fmt.Errorf("first: %w", missing), errors.New("second: given\n.png and \xff"))
	got := Error(err, "dir/given\n.png", "\n", "")
	want := "first: stat /no/such\\nbridge: done\\x1b/file\\tx: no such file or directory\nsecond: given\\n.png and \ufffd"
	if got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}
