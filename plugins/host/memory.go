package host

import (
	"log/slog"
	"time"
)

// memoryInterval is the time between two checks of a plugin's memory, and membersEvery the
// number of checks between two listings of its processes.
const (
	memoryInterval = 200 * time.Millisecond
	membersEvery   = 10
)

// watchMemory kills the plugin when its processes hold more memory than limits allow. The
// kernel's limits do not fit: RLIMIT_AS and RLIMIT_DATA count address space, which Go and
// CUDA reserve by the terabyte, and a cgroup needs rights that a user seldom has
// (docs/decisions/0013-memory-limit.md).
func (r *runnerProcess) watchMemory(limits *Limits, log *slog.Logger) {
	if limits.Memory <= 0 {
		return
	}
	ticks := time.NewTicker(memoryInterval)
	defer ticks.Stop()
	group := memoryGroup{leader: r.cmd.Process.Pid, folder: r.folder}
	for check := 0; ; check++ {
		if check%membersEvery == 0 {
			group.refresh()
		}
		used, err := group.used()
		if err != nil {
			log.Warn("the plugin's memory_limit is not enforced", "error", err)
			return
		}
		if used > limits.Memory {
			r.kill(limits.memoryExceeded(used))
			return
		}
		select {
		case <-ticks.C:
		case <-r.done:
			return
		}
	}
}
