package plugintest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// startDetached starts a child in a session of its own, which starts another and ends. The
// host knows nothing of the last one's parent.
func startDetached() error {
	cmd := exec.Command("/bin/sh", "-c", `sleep 3600 >/dev/null 2>&1 & echo $! >>"$0"`, os.Getenv(DetachedKey))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Run()
}

// Detached returns the process ids of the detached children in a file.
func Detached(t *testing.T, file string) (all []int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pid)
	}
	return all
}

// Alive reports whether a process runs. A zombie, which may wait long for a slow init, does
// not run.
func Alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	p, err := procfs.Of(pid)
	if err != nil {
		return !os.IsNotExist(err) || procfs.Available() != nil
	}
	return !p.Ended()
}

// allocate takes memory until the process is killed, or an hour has passed.
func allocate() {
	var all [][]byte
	for range 360_000 {
		if len(all) < 200 { // not the whole machine's, should nobody stop it
			block := make([]byte, 8<<20)
			for i := range block {
				block[i] = byte(i)
			}
			all = append(all, block)
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, len(all))
}

// allocateInChild allocates in another process, of the group or in a session of its own.
func allocateInChild(detached bool) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), ModeKey+"=allocates")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: detached}
	return cmd.Run()
}
