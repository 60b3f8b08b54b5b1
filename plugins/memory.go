package plugins

import (
	"log/slog"
	"time"
)

// memoryInterval is how often a plugin's memory is looked at, and membersEvery
// how many looks go by until its process group is listed anew.
const (
	memoryInterval = 200 * time.Millisecond
	membersEvery   = 10
)

// watchMemory kills the process when its group holds more than it may. A limit
// of the kernel's own is no choice: RLIMIT_AS and RLIMIT_DATA count address
// space, which Go and CUDA reserve by the terabyte, and a cgroup needs rights that
// a user seldom has (docs/decisions/0013-memory-limit.md).
func (r *runnerProcess) watchMemory(limits *Limits, log *slog.Logger) {
	if limits.Memory <= 0 {
		return
	}
	ticks := time.NewTicker(memoryInterval)
	defer ticks.Stop()
	group := memoryGroup{leader: r.cmd.Process.Pid, folder: r.folder}
	for look := 0; ; look++ {
		if look%membersEvery == 0 {
			group.list()
		}
		used, err := group.used()
		if err != nil {
			log.Warn("the plugin's memory_limit is not watched", "error", err)
			return
		}
		if used > limits.Memory {
			r.condemn(limits.tooMuchMemory(used))
			return
		}
		select {
		case <-ticks.C:
		case <-r.done:
			return
		}
	}
}
