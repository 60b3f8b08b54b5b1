package workspace

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/hub"
)

// Vicuna's repository has only tokenizer.model, which bridge reads for its family. It does not
// read that of Gemma.
func TestHasTokenizer(t *testing.T) {
	w := New(Options{})
	for _, test := range []struct {
		family, names string
		want          bool
	}{
		{"llama", "config.json tokenizer.model", true}, {"gemma2", "config.json tokenizer.model", false},
		{"t5", "spiece.model", true}, {"llama", "spiece.model", false}, {"opt", "vocab.json", false},
		{"opt", "vocab.json merges.txt", true}, {"gemma2", "tokenizer.json", true},
	} {
		var files []hub.File
		for _, name := range strings.Fields(test.names) {
			files = append(files, hub.File{Path: name})
		}
		if got := w.hasTokenizer(files, test.family); got != test.want {
			t.Errorf("%s with %s: %v, want %v", test.family, test.names, got, test.want)
		}
	}
}

func TestNotifyIfSlowIsSilentIfDone(t *testing.T) {
	var out bytes.Buffer
	notifyIfSlow(&out, time.Hour, "later")()
	if strings.Contains(out.String(), "later") {
		t.Errorf("it wrote %q after done", out.String())
	}
}

func TestDownloadProgressShowsTimeLeft(t *testing.T) {
	p := newDownloadProgress(io.Discard)
	p.already = 1_000_000_000 // from an earlier pull
	if got := p.line(3_000_000_000, 11_000_000_000, 20*time.Second); got != "3 GB of 11 GB, 100 MB/s, 80 seconds left" {
		t.Errorf("got %s", got)
	}
	var lines bytes.Buffer
	p = newDownloadProgress(&lines)
	for done := range int64(1000) {
		p.step(done+1, 1000)
	}
	if got := lines.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "1 kB of 1 kB") {
		t.Errorf("got %q, want one line", got)
	}
}
