package plugins

import (
	"fmt"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
)

const (
	// startWindows is how often Config.StartTimeout may pass before a plugin that
	// is busy all the time has to greet.
	startWindows = 10
	// busyShare is the part of that time that it computes at least, to be taken for busy.
	busyShare = 300
)

// watchStart kills a process that does not greet: after Config.StartTimeout if it
// has neither computed nor said anything meanwhile, after startWindows times that
// in any case. A plugin whose libraries take long to load, on a machine with other
// work to do, is not one that hangs.
func (r *runnerProcess) watchStart() {
	limit := r.cfg.StartTimeout
	for window := 1; ; window++ {
		worked, said := cpuTime(r.cmd.Process.Pid), r.log.bytes()
		select {
		case <-r.greeted:
			return
		case <-r.done:
			return
		case <-time.After(limit):
		}
		busy := cpuTime(r.cmd.Process.Pid)-worked > limit/busyShare || r.log.bytes() > said
		if !busy || window == startWindows {
			r.condemn(tooLate(time.Duration(window) * limit))
			return
		}
		r.cfg.Logger.Debug("the plugin has not greeted yet, but is busy", "for", time.Duration(window)*limit)
	}
}

// tooLate is the verdict on a plugin that does not greet.
func tooLate(after time.Duration) verdict {
	return verdict{
		fmt.Sprintf("killed by bridge: it printed no handshake within %v", after),
		"start the program by hand to see what it waits for; a plugin loads its model in Load, after the handshake",
	}
}

// mute is the verdict on a plugin that can greet no more.
func mute() verdict {
	return verdict{
		"killed by bridge: it closed its standard output without a handshake",
		"start the program by hand: a plugin of bridge says that it is one",
	}
}

// cpuTime is what the members of a process group have computed so far; 0 where the
// system does not say.
func cpuTime(group int) (sum time.Duration) {
	for p := range procfs.All() {
		if p.Group == group {
			sum += p.CPU
		}
	}
	return sum
}
