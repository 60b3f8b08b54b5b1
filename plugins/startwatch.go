package plugins

import (
	"fmt"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// startWindows is how often Config.StartTimeout may pass before a plugin that is
// busy all the time has to greet.
const startWindows = 10

// watchStart kills a process that does not greet: after Config.StartTimeout if it
// has done nothing and said nothing meanwhile, after startWindows times that in any
// case. A plugin whose libraries take long to load, on a machine with other work to
// do, is not one that hangs.
func (r *runnerProcess) watchStart() {
	limit, does := r.cfg.StartTimeout, procfs.Watch(r.cmd.Process.Pid)
	for window, said := 1, int64(0); ; window++ {
		select {
		case <-r.greeted:
			return
		case <-r.done:
			return
		case <-time.After(limit):
		}
		after := time.Duration(window) * limit
		before := said
		said = r.log.bytes()
		if busy := does.Busy() || said > before; !busy || window == startWindows {
			r.condemn(tooLate(after))
			return
		}
		r.cfg.Logger.Debug("the plugin has not greeted yet, and is busy", "after", after)
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
