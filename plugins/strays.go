package plugins

import (
	"syscall"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// groupKey names the variable with a plugin's private folder: what the plugin starts
// has it too, and is found by it though it has left the process group.
const groupKey = "BRIDGE_GROUP"

// straysPatience is how long processes may take to end that were killed: one that
// hangs in the kernel does not.
const straysPatience = 2 * time.Second

// killStrays kills all processes but this one that a plugin's private folder marks,
// and returns when there are none. Those that have cleared their environment are
// not found, nor any where the system has no /proc.
func killStrays(folder string) {
	if folder == "" {
		return
	}
	for deadline := time.Now().Add(straysPatience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		none := true
		for pid := range procfs.Marked(groupKey, folder) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			none = false
		}
		if none {
			return
		}
	}
}
