package host

import (
	"bytes"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
)

func TestLogKeepsTheLastLines(t *testing.T) {
	t.Parallel()
	cfg, err := Config{Path: "/bin/sh"}.resolve()
	if err != nil {
		testenv.Lacking(t, "a shell", err)
	}
	l := &pluginLog{log: cfg.Logger}
	for range maxLines + 5 {
		_, _ = l.Write([]byte("old\n"))
	}
	_, _ = l.Write(bytes.Repeat([]byte("z"), 3*maxLineBytes))
	_, _ = l.Write([]byte("\nnew\r\n\nunfinished"))
	got := l.lines()
	if len(got) != maxLines || got[maxLines-1] != "unfinished" || got[maxLines-2] != "new" {
		t.Errorf("kept %d lines, the last are %q", len(got), got[len(got)-2:])
	}
	if n := len(got[maxLines-3]); n > maxLineBytes+len("…") {
		t.Errorf("a long line was kept with %d bytes", n)
	}
}
