package shell

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/printable"
)

func TestWord(t *testing.T) {
	for s, want := range map[string]string{
		"":                 `''`,
		"runs/demo":        `runs/demo`,
		"--out":            `--out`,
		"runs/my run":      `'runs/my run'`,
		"it's":             `'it'\''s'`,
		"$HOME`id`":        "'$HOME`id`'",
		"~/runs":           `'~/runs'`,
		"kit:held-out/17":  `kit:held-out/17`,
		"a=b":              `'a=b'`,
		"über/猫":           `'über/猫'`,
		"a\x1b[2J%\\'":     `"$(printf 'a\033[2J%%\134\047')"`,
		"a\nb":             `"$(printf 'a\012b')"`,
		"\xff":             `"$(printf '\377')"`,
		"a\u202eb":         `"$(printf 'a\342\200\256b')"`,
		"a\n":              "'a''\n'",
		"a\x00; rm -rf ~":  `a`,
		"what color is it": `'what color is it'`,
	} {
		if got := Word(s); got != want {
			t.Errorf("Word(%q) = %s, want %s", s, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	got := Command("bridge", "train", Operand("-my run/recipe.toml"), "--out", Operand("-my run"), "--resume")
	if want := `bridge train './-my run/recipe.toml' --out './-my run' --resume`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Path("-x"); got != "./-x" {
		t.Errorf("Path(-x) = %s, want ./-x", got)
	}
}

// seeds are words that shells treat specially.
var seeds = []string{
	"", " ", "a b", "'", `"`, "''", "$x", "${x}", "$(id)", "`id`", `\`, `\n`, `a\`, "!", "!!", "~", "~root", "*", "?", "[a]", "{a,b}", "#", "a#",
	";", "&&", "|", ">x", "<x", "(x)", "a=b", "-n", "--", "-e", "%s", "%", "%%d", "\n", "\n\n", "a\n", "a\nb\n", "\r", "\t", "\x1b[2J", "\x7f",
	"\u0085", "\u009b2J", "\u2028", "\u202e", "\u200b", "\ufeff", "\xff", "a\xff\xfe'", "\xe2\x80", "ü", "猫", "👩\u200d🚀", "-\x01", "--\n-", "\u00a0", "1\x012",
}

// allControls is a name with every byte that a file name can have.
func allControls() string {
	var b strings.Builder
	for c := 1; c < 256; c++ {
		if c != '/' {
			b.WriteByte(byte(c))
		}
	}
	return b.String()
}

// The shell gives back each word, whatever the bytes.
func FuzzWordsComeBackFromTheShell(f *testing.F) {
	for _, s := range append(seeds, allControls()) {
		f.Add(s)
	}
	var shells []string
	for _, name := range []string{"sh", "bash", "dash"} {
		if path, err := exec.LookPath(name); err == nil {
			shells = append(shells, path)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		s, _, _ = strings.Cut(s, "\x00")
		word := Word(s)
		if body := strings.TrimRight(s, "\n"); printable.Name(Word(body)) != Word(body) {
			t.Errorf("Word(%q) = %q, want printable text", body, Word(body))
		}
		for _, sh := range shells {
			out, err := exec.Command(sh, "-c", "printf '<%s>' "+word+" x").Output()
			if want := "<" + s + "><x>"; err != nil || string(out) != want {
				t.Errorf("%s reads %s as %q (%v), want %q", sh, word, out, err, want)
			}
		}
	})
}
