package train

import (
	"testing"
	"time"
)

// A micro-batch may wait for its data while the step computes another. Only the rest of its wait
// holds the step up.
func TestStepWaitsOnlyWhileItCanDoNothingElse(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	w := waiting{from: at(10), to: at(14)}
	for stopped, want := range map[int]time.Duration{5: 4 * time.Second, 10: 4 * time.Second, 13: time.Second, 14: 0, 20: 0} {
		if got := w.since(at(stopped)); got != want {
			t.Errorf("a wait from second 10 to 14, and a step that stops in second %d: it waits %v, want %v", stopped, got, want)
		}
	}
	if got := (waiting{}).since(at(5)); got != 0 {
		t.Errorf("a micro-batch that did not get to its features waits %v", got)
	}
}
