package metrics

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/modular-bridging/bridge/internal/printable"
)

// Progress shows how far long tasks are.
type Progress interface {
	// Start begins a task of total units. If it is resumed, done units are done already.
	// A total of 0 is unknown.
	Start(name string, total, done int) Task
}

// Task is a task that is running.
type Task interface {
	// Step reports that done units are done, the number of images since the last report,
	// and the latest loss. A loss of NaN or 0 is not shown.
	Step(done, images int, loss float64)
	// Done ends the task, finished or not.
	Done()
}

// NewProgress returns a progress that writes to w. On a terminal it shows a bar with the
// loss, images per second and the time left; elsewhere it writes a line at most every ten
// seconds.
func NewProgress(w io.Writer) Progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return barProgress{w}
	}
	return lineProgress{w}
}

// Silent returns a progress that shows nothing.
func Silent() Progress { return lineProgress{io.Discard} }

type barProgress struct{ w io.Writer }

func (p barProgress) Start(name string, total, done int) Task {
	if total == 0 {
		total = -1
	}
	name = printable.Name(name)
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(name),
		progressbar.OptionShowCount(), progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond),
		// Its own estimate counts what was done before a resume as done now.
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
	bar.StartWithoutRender()
	bar.Set(done)
	return &barTask{bar: bar, w: p.w, rate: newRate(time.Now(), done), name: name, total: total}
}

type barTask struct {
	bar   *progressbar.ProgressBar
	w     io.Writer
	rate  *rate
	name  string
	total int
}

func (t *barTask) Step(done, images int, loss float64) {
	t.rate.add(time.Now(), done, images)
	t.bar.Describe(describe(t.name, loss, t.rate, t.total-done))
	t.bar.Set(done)
}

func (t *barTask) Done() {
	t.bar.Exit()
	fmt.Fprintln(t.w)
}

type lineProgress struct{ w io.Writer }

// lineEvery is the least time between two lines.
const lineEvery = 10 * time.Second

func (p lineProgress) Start(name string, total, done int) Task {
	return &lineTask{w: p.w, name: printable.Name(name), total: total, done: done, rate: newRate(time.Now(), done), last: time.Now(), printed: done}
}

type lineTask struct {
	w           io.Writer
	name        string
	total, done int
	loss        float64
	rate        *rate
	last        time.Time
	printed     int
}

func (t *lineTask) Step(done, images int, loss float64) {
	t.rate.add(time.Now(), done, images)
	t.done, t.loss = done, loss
	if time.Since(t.last) >= lineEvery {
		t.print()
	}
}

func (t *lineTask) print() {
	t.last, t.printed = time.Now(), t.done
	of := ""
	if t.total > 0 {
		of = fmt.Sprintf("/%d", t.total)
	}
	name := fmt.Sprintf("%s  %d%s", t.name, t.done, of)
	fmt.Fprintln(t.w, describe(name, t.loss, t.rate, t.total-t.done))
}

func (t *lineTask) Done() {
	if t.printed != t.done {
		t.print()
	}
}

// describe returns what is known of "stage-2  loss 1.234  560 images/s  1m20s left".
func describe(name string, loss float64, r *rate, units int) string {
	parts := []string{name}
	if loss != 0 && !math.IsNaN(loss) {
		parts = append(parts, fmt.Sprintf("loss %.3f", loss))
	}
	if speed, ok := r.images(); ok {
		parts = append(parts, speedText(speed))
	}
	if left, ok := r.left(units); ok && units > 0 {
		parts = append(parts, fmt.Sprintf("%s left", left.Round(time.Second)))
	}
	return strings.Join(parts, "  ")
}

// speedText returns a speed with two digits or more: "0.48 images/s", "560 images/s".
func speedText(speed float64) string {
	switch {
	case speed < 1:
		return fmt.Sprintf("%.2g images/s", speed)
	case speed < 10:
		return fmt.Sprintf("%.1f images/s", speed)
	}
	return fmt.Sprintf("%.0f images/s", speed)
}

// rate measures speed over a sliding window, so that a slow start (compilation) or a
// resume does not distort the estimate for long.
type rate struct {
	mu     sync.Mutex
	points []point
	total  int // images so far
}

type point struct {
	at     time.Time
	units  int
	images int
}

const window = 30 * time.Second

func newRate(now time.Time, done int) *rate {
	return &rate{points: []point{{at: now, units: done}}}
}

// add records how many units are done now.
func (r *rate) add(now time.Time, units, images int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total += images
	r.points = append(r.points, point{now, units, r.total})
	for len(r.points) > 2 && now.Sub(r.points[0].at) > window {
		r.points = r.points[1:]
	}
}

// span returns the window's ends and its length in seconds.
func (r *rate) span() (first, last point, seconds float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, last = r.points[0], r.points[len(r.points)-1]
	return first, last, last.at.Sub(first.at).Seconds()
}

// images returns images per second.
func (r *rate) images() (float64, bool) {
	first, last, seconds := r.span()
	if seconds <= 0 || last.images == first.images {
		return 0, false
	}
	return float64(last.images-first.images) / seconds, true
}

// left returns how long units more will take.
func (r *rate) left(units int) (time.Duration, bool) {
	first, last, seconds := r.span()
	if last.units <= first.units || seconds <= 0 {
		return 0, false
	}
	return time.Duration(float64(units) * seconds / float64(last.units-first.units) * float64(time.Second)), true
}
