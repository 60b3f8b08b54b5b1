package host

import (
	"fmt"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// startWindows is how many times Config.StartTimeout a plugin that is busy all the time may
// take for the handshake.
const startWindows = 10

// watchStartTimeout kills a process that prints no handshake: after Config.StartTimeout if
// it has neither computed nor printed anything meanwhile, after startWindows times that in
// any case. A plugin whose libraries load slowly on a busy machine does not hang.
func (r *runnerProcess) watchStartTimeout() {
	limit, activity := r.cfg.StartTimeout, procfs.Watch(r.cmd.Process.Pid)
	for window, printed := 1, int64(0); ; window++ {
		select {
		case <-r.handshakeDone:
			return
		case <-r.done:
			return
		case <-time.After(limit):
		}
		after := time.Duration(window) * limit
		before := printed
		printed = r.log.size()
		if busy := activity.Busy() || printed > before; !busy || window == startWindows {
			if r.hasHandshake() { // which came during the check
				return
			}
			r.kill(startTimeout(after))
			return
		}
		r.cfg.Logger.Debug("no handshake yet, and the plugin is busy", "after", after)
	}
}

// startTimeout returns the reason for a plugin without a handshake after some time.
func startTimeout(after time.Duration) killReason {
	return killReason{
		fmt.Sprintf("killed by bridge: it printed no handshake within %v", after),
		"start the program by hand to see what it waits for; a plugin loads its model in Load, after the handshake",
	}
}

// closedStdout returns the reason for a plugin that cannot print a handshake any more.
func closedStdout() killReason {
	return killReason{
		"killed by bridge: it closed its standard output without a handshake",
		"start the program by hand: a plugin of bridge prints that it is one",
	}
}
