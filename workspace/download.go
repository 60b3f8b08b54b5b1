package workspace

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
)

// downloadProgress shows how far a download is: in one line on a terminal, in a line every
// ten seconds elsewhere.
type downloadProgress struct {
	out      io.Writer
	terminal bool
	interval time.Duration // between two lines

	mu      sync.Mutex
	began   time.Time // first step
	already int64     // bytes that were present before the first step
	shown   time.Time // last line
	partial bool      // the cursor is in a line on the terminal
}

func newDownloadProgress(out io.Writer) *downloadProgress {
	p := &downloadProgress{out: out, interval: 10 * time.Second}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.terminal, p.interval = true, 200*time.Millisecond
	}
	return p
}

// step shows how many bytes are done if the last line is old enough.
func (p *downloadProgress) step(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.began.IsZero() {
		p.began, p.already, p.shown = now, done, now
	}
	if now.Sub(p.shown) < p.interval && done < total {
		return
	}
	p.shown = now
	line := p.line(done, total, now.Sub(p.began))
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K"+line)
		p.partial = true
		return
	}
	fmt.Fprintln(p.out, line)
}

// line returns the bytes, the speed and the time left.
func (p *downloadProgress) line(done, total int64, spent time.Duration) string {
	text := fmt.Sprintf("%s of %s", registry.Size(done), registry.Size(total))
	if rate := float64(done-p.already) / max(spent.Seconds(), 1e-3); rate > 0 && spent > time.Second/2 {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s/s, %s left", registry.Size(int64(rate)), recipes.Duration(left))
	}
	return text
}

// end ends the line on the terminal.
func (p *downloadProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.partial {
		fmt.Fprintln(p.out)
	}
}
