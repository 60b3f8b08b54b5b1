// Package procfs reads from /proc which processes there are. On systems without /proc it
// finds none.
package procfs

import (
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"
	"time"
)

// Process is one process, from its line in /proc.
type Process struct {
	PID, Parent, Group int
	// CPU is the time that it has computed, in user and system mode, to a hundredth of a
	// second; 0 if the line does not have it.
	CPU time.Duration
	// Began is when it was started, in hundredths of a second since the start of the
	// machine. With PID it identifies a process for good. 0 if the line does not have it.
	Began int64
	// State is a letter: "R", "S", …; "Z" for a process that has ended and that its
	// parent has not reaped.
	State string
}

// Ended reports whether the process has ended.
func (p Process) Ended() bool { return p.State == "Z" }

// Available returns an error if this system has no /proc.
func Available() error {
	_, err := os.Stat("/proc/self/stat")
	return err
}

// All lists the processes of this system. It reads no folder but /proc itself: the kernel
// makes dozens of entries for each process whose folder is listed.
func All() iter.Seq[Process] {
	return func(yield func(Process) bool) {
		for name := range numbers("/proc") {
			if p, err := read("/proc/" + name + "/stat"); err == nil && !yield(p) { // else it has ended
				return
			}
		}
	}
}

// numbers lists the entries of a folder whose names are numbers.
func numbers(dir string) iter.Seq[string] {
	return func(yield func(string) bool) {
		entries, _ := os.ReadDir(dir) // a system may have none
		for _, e := range entries {
			if _, err := strconv.Atoi(e.Name()); err == nil && !yield(e.Name()) {
				return
			}
		}
	}
}

// Of returns the process with an id. If there is none, the error matches [os.ErrNotExist].
func Of(pid int) (Process, error) { return read(fmt.Sprintf("/proc/%d/stat", pid)) }

func read(path string) (Process, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Process{}, err
	}
	return parse(string(text))
}

// parse parses "pid (name) state parent group …". A name may contain any character.
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

// Runs reports whether the process still runs. Another process with the same id does not
// count.
func (p Process) Runs() bool {
	now, err := Of(p.PID)
	return err == nil && now.Began == p.Began && !now.Ended()
}

// ticksPerSecond is the unit of times in /proc, which is the same on all of Go's
// architectures.
const ticksPerSecond = 100
