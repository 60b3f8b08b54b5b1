package metrics

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestRateForgetsASlowStart(t *testing.T) {
	now := time.Unix(0, 0)
	r := newRate(now, 0)
	now = now.Add(20 * time.Second) // compilation
	r.add(now, 1, 8)
	for step := 2; step <= 100; step++ {
		now = now.Add(time.Second)
		r.add(now, step, 8)
	}
	if speed, ok := r.images(); !ok || speed != 8 {
		t.Errorf("%v images/s, want 8", speed)
	}
	if left, ok := r.left(60); !ok || left != time.Minute {
		t.Errorf("%v left for 60 steps of a second", left)
	}
}

func TestResumedTaskEstimatesFromItsOwnSteps(t *testing.T) {
	now := time.Unix(0, 0)
	r := newRate(now, 900)
	if _, ok := r.left(100); ok {
		t.Error("an estimate before the first step")
	}
	r.add(now.Add(2*time.Second), 901, 64)
	want := "stage-2  loss 1.235  32 images/s  3m18s left"
	if got := describe("stage-2", 1.2349, r, 99); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDescribeLeavesOutWhatIsUnknown(t *testing.T) {
	r := newRate(time.Unix(0, 0), 0)
	if got := describe("weights", 0, r, 10); got != "weights" {
		t.Errorf("got %q, want the name alone", got)
	}
	r.add(time.Unix(1, 0), 10, 0)
	if got := describe("weights", 0, r, 0); got != "weights" {
		t.Errorf("got %q, want the name alone at the end", got)
	}
}

func TestLinesAwayFromATerminal(t *testing.T) {
	var out bytes.Buffer
	task := NewProgress(&out).Start("stage-1", 50, 10)
	for step := 11; step <= 50; step++ {
		task.Step(step, 4, 2)
	}
	task.Done()
	task.Done()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "stage-1  50/50  loss 2.000  ") || strings.Contains(lines[0], "\r") {
		t.Errorf("got %q, want one line at the end", lines)
	}
	out.Reset()
	NewProgress(&out).Start("nothing done", 50, 10).Done()
	if out.Len() != 0 {
		t.Errorf("a task without a step says %q", out.String())
	}
}

func TestBarShowsWhereAResumedTaskIs(t *testing.T) {
	var out bytes.Buffer
	task := barProgress{&out}.Start("stage-2", 10, 8)
	task.Step(9, 4, 1.5)
	task.Step(10, 4, 1.25)
	task.Done()
	last := out.String()[strings.LastIndex(strings.TrimRight(out.String(), "\r\n"), "\r")+1:]
	for _, want := range []string{"stage-2", "loss 1.250", "100%", "(10/10)"} {
		if !strings.Contains(last, want) {
			t.Errorf("the bar ends with %q, want %q in it", last, want)
		}
	}
	if !strings.HasSuffix(out.String(), "\n") {
		t.Error("the bar leaves the cursor in its line")
	}
}

func TestSlowSpeedsAreNotZero(t *testing.T) {
	for speed, want := range map[float64]string{0.0482: "0.048 images/s", 0.5: "0.5 images/s", 2.26: "2.3 images/s", 560.4: "560 images/s"} {
		if got := speedText(speed); got != want {
			t.Errorf("%v: %q, want %q", speed, got, want)
		}
	}
}
