package plugins

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// strayKey names the file that a plugin's child is written to, which has left the
// process group for a session of its own.
const strayKey = "BRIDGE_TEST_STRAY"

// stray starts a child that starts another and ends: the last one's parent is nobody
// that the plugin's host knows of.
func stray() error {
	cmd := exec.Command("/bin/sh", "-c", `sleep 3600 >/dev/null 2>&1 & echo $! >>"$0"`, os.Getenv(strayKey))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Run()
}

// strays are the children that were started.
func strays(t *testing.T, file string) (all []int) {
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

func wantNoStrays(t *testing.T, file string, n int) {
	t.Helper()
	all := strays(t, file)
	if len(all) != n {
		t.Errorf("%d children were started, want %d", len(all), n)
	}
	for _, pid := range all {
		if alive(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Errorf("the child %d outlives the plugin", pid)
		}
	}
}

// What a plugin has started ends with it, though it has left the process group for
// a session of its own, and its parent has ended.
func TestNoStrayOutlivesItsPlugin(t *testing.T) {
	needsProc(t)
	open := func(t *testing.T) (*Process, string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "strays")
		cfg := config(t, "stray at load", "language")
		cfg.Env, cfg.Restart.Limit = append(cfg.Env, strayKey+"="+file), -1
		cfg.Limits.Call = 100 * time.Millisecond
		p, err := Launch(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		if all := strays(t, file); len(all) != 1 || !alive(all[0]) {
			t.Fatalf("the children are %v, want one that runs", all)
		}
		return p, file
	}
	t.Run("close", func(t *testing.T) {
		p, file := open(t)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		wantNoStrays(t, file, 1)
	})
	t.Run("death", func(t *testing.T) {
		p, file := open(t)
		m, err := p.Language()
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Loss(t.Context(), lossRequest(false))
		wantError(t, err, adapters.Unavailable, "killed by bridge")
		wantNoStrays(t, file, 1)
	})
}

// Nor does it outlive a host that is killed; if that and the plugin are killed at
// once, the next host ends it.
func TestNoStrayOutlivesAKilledHost(t *testing.T) {
	needsProc(t)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, both := range []bool{false, true} {
		t.Run(fmt.Sprintf("plugin too %v", both), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "strays")
			host, plugin, _ := startHost(t, path, "host, stray", strayKey+"="+file)
			if both { // stopped, neither can do anything about the other's end
				_ = syscall.Kill(plugin, syscall.SIGSTOP)
			}
			_ = host.Process.Kill()
			_ = host.Wait()
			if both {
				_ = syscall.Kill(-plugin, syscall.SIGKILL)
				if all := strays(t, file); len(all) != 1 || !alive(all[0]) {
					t.Fatalf("the children are %v, want one that runs yet", all)
				}
				next, err := newSocketDir()
				if err != nil {
					t.Fatal(err)
				}
				next.remove()
			}
			for deadline := time.Now().Add(20 * time.Second); alive(plugin) && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond)
			}
			wantNoStrays(t, file, 1)
		})
	}
}

// A plugin that is deaf to its lifeline, since it is stopped or hangs before it has
// heard of one, is ended by the next host.
func TestNoDeafPluginOutlivesTheNextHost(t *testing.T) {
	needsProc(t)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host, plugin, _ := startHost(t, path, "host", strayKey+"=")
	defer syscall.Kill(-plugin, syscall.SIGKILL)
	if err := syscall.Kill(-plugin, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_ = host.Process.Kill()
	_ = host.Wait()
	if !alive(plugin) {
		t.Fatal("the plugin is not deaf")
	}
	next, err := newSocketDir()
	if err != nil {
		t.Fatal(err)
	}
	defer next.remove()
	if alive(plugin) {
		t.Error("the plugin lives on")
	}
}

// Another plugin's processes are none of a plugin's business.
func TestStraysOfOthersLiveOn(t *testing.T) {
	needsProc(t)
	mine, other := t.TempDir(), t.TempDir()
	cmd := exec.Command("sleep", "3600")
	cmd.Env = []string{groupKey + "=" + other, "X=" + groupKey + "=" + mine, groupKey + "X=" + mine}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer cmd.Process.Kill()
	killStrays(mine)
	killStrays("")
	if !alive(cmd.Process.Pid) {
		t.Error("it was killed")
	}
}
