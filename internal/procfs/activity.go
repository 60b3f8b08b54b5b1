package procfs

import (
	"fmt"
	"time"
)

// leastWork is the least time that a busy process group has computed since the last check. A
// process that only wakes up now and then computes less.
const leastWork = 50 * time.Millisecond

// Activity watches whether a process group computes.
type Activity struct {
	group int
	cpu   time.Duration
}

// Watch begins to watch a process group.
func Watch(group int) *Activity {
	cpu, _ := work(group)
	return &Activity{group, cpu}
}

// Busy reports whether the group has computed since the last check, or would now: it waits
// for a processor or a disk. It is false on systems without /proc.
func (a *Activity) Busy() bool {
	before := a.cpu
	cpu, would := work(a.group)
	a.cpu = cpu
	return would || cpu-before >= leastWork
}

// work returns how long the members of a group have computed, and whether one of their threads
// computes or would compute now.
func work(group int) (cpu time.Duration, would bool) {
	for p := range All() {
		if p.Group != group {
			continue
		}
		cpu += p.CPU
		tasks := fmt.Sprintf("/proc/%d/task", p.PID)
		for thread := range numbers(tasks) {
			if t, err := read(tasks + "/" + thread + "/stat"); err == nil && (t.State == "R" || t.State == "D") {
				would = true
			}
		}
	}
	return cpu, would
}
