package wire

import (
	"os/exec"
	"testing"

	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// KillDescendants kills no process of another plugin.
func TestDescendantsOfOthersLiveOn(t *testing.T) {
	if err := procfs.Available(); err != nil {
		testenv.Lacking(t, "a /proc to find processes in", err)
	}
	mine, other := t.TempDir(), t.TempDir()
	cmd := exec.Command("sleep", "3600")
	cmd.Env = []string{GroupKey + "=" + other, "X=" + GroupKey + "=" + mine, GroupKey + "X=" + mine}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer cmd.Process.Kill()
	KillDescendants(mine)
	KillDescendants("")
	if p, err := procfs.Of(cmd.Process.Pid); err != nil || p.Ended() {
		t.Error("it was killed")
	}
}
