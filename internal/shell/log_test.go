package shell

import (
	"bytes"
	"log/slog"
	"testing"
)

func TestLogHandler(t *testing.T) {
	var b bytes.Buffer
	withoutTime := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(NewLogHandler(&b, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	command := Command("bridge", "caption", "it's $x")
	log.With("a", "\x7f").WithGroup("g").Info("to continue:", Logged(command), "n", 1)
	log.Warn("after", "name", "a\x1b\nb")
	want := `level=INFO msg="to continue:" a=\x7f g.n=1
  bridge caption 'it'\''s $x'
level=WARN msg=after name="a\x1b\nb"
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
