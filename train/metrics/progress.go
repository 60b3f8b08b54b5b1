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
)

// Progress shows how far long work is.
type Progress interface {
	// Start begins a task of total units of which done are done already: a
	// resumed task. A total of 0 is unknown.
	Start(name string, total, done int) Task
}

// Task is a piece of work under way.
type Task interface {
	// Step says that done units are done, with as many more images, and the
	// latest loss; NaN or 0 shows none.
	Step(done, images int, loss float64)
	// Done ends the task, finished or not.
	Done()
}

// NewProgress shows a bar with loss, images per second and time left where w is
// a terminal, and lines, at most one in ten seconds, elsewhere.
func NewProgress(w io.Writer) Progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return barProgress{w}
	}
	return lineProgress{w}
}

// Silent shows nothing.
func Silent() Progress { return lineProgress{io.Discard} }

type barProgress struct{ w io.Writer }

func (p barProgress) Start(name string, total, done int) Task {
	if total == 0 {
		total = -1
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(name),
		progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond))
	bar.StartWithoutRender()
	bar.Set(done)
	return &barTask{bar: bar, w: p.w, rate: newRate(done), name: name}
}

type barTask struct {
	bar  *progressbar.ProgressBar
	w    io.Writer
	rate *rate
	name string
}

func (t *barTask) Step(done, images int, loss float64) {
	t.rate.add(done, images)
	t.bar.Describe(strings.TrimRight(fmt.Sprintf("%s  %s%s", t.name, lossText(loss), t.rate.images()), " "))
	t.bar.Set(done)
}

func (t *barTask) Done() {
	t.bar.Exit()
	fmt.Fprintln(t.w)
}

type lineProgress struct{ w io.Writer }

// lineEvery is the time between two lines.
const lineEvery = 10 * time.Second

func (p lineProgress) Start(name string, total, done int) Task {
	return &lineTask{w: p.w, name: name, total: total, done: done, rate: newRate(done), last: time.Now()}
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
	t.rate.add(done, images)
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
	left := ""
	if eta, ok := t.rate.left(t.total - t.done); ok && t.done < t.total {
		left = fmt.Sprintf("  %s left", eta.Round(time.Second))
	}
	fmt.Fprintf(t.w, "%s  %d%s  %s%s%s\n", t.name, t.done, of, lossText(t.loss), t.rate.images(), left)
}

func (t *lineTask) Done() {
	if t.printed != t.done {
		t.print()
	}
}

func lossText(loss float64) string {
	if loss == 0 || math.IsNaN(loss) {
		return ""
	}
	return fmt.Sprintf("loss %.3f  ", loss)
}

// rate measures over a sliding window, so that a slow start (compilation) or a
// resume does not spoil the estimate for long.
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

func newRate(done int) *rate {
	return &rate{points: []point{{at: time.Now(), units: done}}}
}

func (r *rate) add(units, images int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total += images
	now := time.Now()
	r.points = append(r.points, point{now, units, r.total})
	for len(r.points) > 2 && now.Sub(r.points[0].at) > window {
		r.points = r.points[1:]
	}
}

// over returns the window's ends and its length in seconds.
func (r *rate) over() (first, last point, seconds float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, last = r.points[0], r.points[len(r.points)-1]
	return first, last, last.at.Sub(first.at).Seconds()
}

func (r *rate) images() string {
	first, last, seconds := r.over()
	if seconds <= 0 || last.images == first.images {
		return ""
	}
	return fmt.Sprintf("%.0f images/s", float64(last.images-first.images)/seconds)
}

func (r *rate) left(units int) (time.Duration, bool) {
	first, last, seconds := r.over()
	if last.units <= first.units || seconds <= 0 {
		return 0, false
	}
	return time.Duration(float64(units) * seconds / float64(last.units-first.units) * float64(time.Second)), true
}
