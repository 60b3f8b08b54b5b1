package wire

import (
	"syscall"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// GroupKey names the environment variable that holds a plugin's private folder. Every
// process that the plugin starts inherits it, so that the host finds it even if it has
// left the plugin's process group.
const GroupKey = "BRIDGE_GROUP"

// killTimeout is how long [KillDescendants] waits for processes to end. A process that
// hangs in the kernel does not end.
const killTimeout = 2 * time.Second

// KillDescendants kills all processes, except this one, that have a plugin's private
// folder in their environment, and returns when none is left. It does not find
// processes that have cleared their environment, and on systems without /proc it finds
// none.
func KillDescendants(folder string) {
	if folder == "" {
		return
	}
	for deadline := time.Now().Add(killTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		none := true
		for pid := range procfs.Marked(GroupKey, folder) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			none = false
		}
		if none {
			return
		}
	}
}
