package plugintest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// LossRequest returns a request whose prompts need more than one chunk.
func LossRequest(gradient bool) *adapters.LossRequest {
	prompts := adapters.NewTensor(adapters.Float32, 2, 11_000, 12)
	for i := range prompts.Float32s() {
		prompts.Float32s()[i] = float32(i%97)/97 - 0.5
	}
	return &adapters.LossRequest{Prompts: prompts, Gradient: gradient, Examples: []adapters.Example{
		{Segments: []adapters.Segment{adapters.PromptSegment(1), adapters.TextSegment("a photo of")}, Target: " a dog"},
		{Segments: []adapters.Segment{adapters.TextSegment("über"), adapters.PromptSegment(0)}, Target: " 🍎"},
	}}
}

// WantError checks the kind and the text of an error.
func WantError(t *testing.T, err error, kind adapters.Kind, texts ...string) {
	t.Helper()
	if adapters.KindOf(err) != kind {
		t.Errorf("got error %v of kind %q, want kind %q", err, adapters.KindOf(err), kind)
	}
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

// WaitFor waits until done reports true.
func WaitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Buffer is a bytes.Buffer for several goroutines.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// LineWith returns the first line of a log with a text, or an empty string.
func LineWith(log, text string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
