package procfs

import (
	"fmt"
	"path/filepath"
	"time"
)

// leastWork is what a process group has computed at least since the last look, to
// be taken for busy: what wakes up now and then takes less.
const leastWork = 50 * time.Millisecond

// Activity looks at whether a process group does something.
type Activity struct {
	group int
	cpu   time.Duration
}

// Watch begins to look at a process group.
func Watch(group int) *Activity {
	cpu, _ := work(group)
	return &Activity{group, cpu}
}

// Busy reports whether the group has computed since the last look, or would now: it
// waits for a processor, or for a disk. It is false where the system does not say.
func (a *Activity) Busy() bool {
	before := a.cpu
	cpu, would := work(a.group)
	a.cpu = cpu
	return would || cpu-before >= leastWork
}

// work is what the members of a group have computed, and whether one of their
// threads would compute now.
func work(group int) (cpu time.Duration, would bool) {
	for p := range All() {
		if p.Group != group {
			continue
		}
		cpu += p.CPU
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID)) // the pattern is right
		for _, path := range threads {
			if t, err := read(path); err == nil && (t.State == "R" || t.State == "D") {
				would = true
			}
		}
	}
	return cpu, would
}
