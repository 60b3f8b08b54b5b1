// Package procfs reads of /proc which processes there are. Systems without one show
// none.
package procfs

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is one process, as its line in /proc says.
type Process struct {
	PID, Parent, Group int
	// CPU is how long it has computed, in user and system mode, to a hundredth of a
	// second; 0 where the line does not say.
	CPU time.Duration
	// Began is when it was started, in hundredths of a second since the machine was:
	// with PID it names a process for good. 0 where the line does not say.
	Began int64
	// State is a letter: "R", "S", … ; "Z" for one that has ended and that its parent
	// has not noticed.
	State string
}

// Ended reports whether it runs no more.
func (p Process) Ended() bool { return p.State == "Z" }

// Available reports whether this system has a /proc to find processes in.
func Available() error {
	_, err := os.Stat("/proc/self/stat")
	return err
}

// All lists the processes of this system.
func All() iter.Seq[Process] {
	return func(yield func(Process) bool) {
		paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
		for _, path := range paths {
			if p, err := read(path); err == nil && !yield(p) { // else it has ended
				return
			}
		}
	}
}

// Of returns a process. The error is that of a missing file where there is none.
func Of(pid int) (Process, error) { return read(fmt.Sprintf("/proc/%d/stat", pid)) }

func read(path string) (Process, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Process{}, err
	}
	return parse(string(text))
}

// parse reads "pid (name) state parent group …"; a name may hold anything.
func parse(text string) (p Process, err error) {
	end := strings.LastIndexByte(text, ')')
	pid, _, _ := strings.Cut(text, " ")
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 3 {
		return p, fmt.Errorf("%q is no line of a process", text)
	}
	p.State = fields[0]
	for i, number := range []string{pid, fields[1], fields[2]} {
		if *[]*int{&p.PID, &p.Parent, &p.Group}[i], err = strconv.Atoi(number); err != nil {
			return p, fmt.Errorf("%q is no line of a process: %w", text, err)
		}
	}
	if len(fields) > 12 {
		for _, ticks := range fields[11:13] {
			if n, err := strconv.ParseInt(ticks, 10, 64); err == nil {
				p.CPU += time.Duration(n) * (time.Second / ticksPerSecond)
			}
		}
	}
	if len(fields) > 19 {
		if n, err := strconv.ParseInt(fields[19], 10, 64); err == nil {
			p.Began = n
		}
	}
	return p, nil
}

// Runs reports whether this process runs yet; another that has got its number since
// does not count.
func (p Process) Runs() bool {
	now, err := Of(p.PID)
	return err == nil && now.Began == p.Began && !now.Ended()
}

// ticksPerSecond is the unit of times in /proc, the same on every architecture that
// Go has.
const ticksPerSecond = 100
