package host

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

func wantEnded(t *testing.T, file string, n int) {
	t.Helper()
	all := plugintest.Detached(t, file)
	if len(all) != n {
		t.Errorf("%d children were started, want %d", len(all), n)
	}
	for _, pid := range all {
		defer syscall.Kill(pid, syscall.SIGKILL)
		plugintest.WaitFor(t, "the child to end", func() bool { return !plugintest.Alive(pid) })
	}
}

// A process that a plugin has started ends with the plugin, even if it has left the process
// group for a session of its own, and its parent has ended.
func TestNoDetachedChildOutlivesItsPlugin(t *testing.T) {
	t.Parallel()
	needsProc(t)
	open := func(t *testing.T) (*Process, string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "children")
		cfg := config(t, "detached child at load", "language")
		cfg.Env, cfg.Restart.Limit = append(cfg.Env, plugintest.DetachedKey+"="+file), -1
		cfg.Limits.Call = 100 * time.Millisecond
		p, err := Launch(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		if all := plugintest.Detached(t, file); len(all) != 1 || !plugintest.Alive(all[0]) {
			t.Fatalf("the children are %v, want one that runs", all)
		}
		return p, file
	}
	t.Run("close", func(t *testing.T) {
		t.Parallel()
		p, file := open(t)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		wantEnded(t, file, 1)
	})
	t.Run("death", func(t *testing.T) {
		t.Parallel()
		p, file := open(t)
		m, err := p.Language()
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Loss(t.Context(), plugintest.LossRequest(false))
		plugintest.WantError(t, err, adapters.Unavailable, "killed by bridge")
		wantEnded(t, file, 1)
	})
}

// It does not outlive a host that is killed. If host and plugin are killed at once, the next
// host ends it.
func TestNoDetachedChildOutlivesAKilledHost(t *testing.T) {
	t.Parallel()
	needsProc(t)
	t.Run("host", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "children")
		host, plugin, _ := newHosts(t).start("detached child at load", plugintest.DetachedKey+"="+file)
		kill(host)
		plugintest.WaitFor(t, "the plugin to end", func() bool { return !plugintest.Alive(plugin) })
		wantEnded(t, file, 1)
	})
	t.Run("host and plugin", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "children")
		h := newHosts(t)
		host, plugin, _ := h.start("detached child at load", plugintest.DetachedKey+"="+file)
		stop(t, host.Process.Pid) // it does nothing about the end of its plugin
		_ = syscall.Kill(-plugin, syscall.SIGKILL)
		kill(host)
		if all := plugintest.Detached(t, file); len(all) != 1 || !plugintest.Alive(all[0]) {
			t.Fatalf("the children are %v, want one that still runs", all)
		}
		h.next()
		wantEnded(t, file, 1)
	})
}

// stop stops a child of this process, and returns when all its threads have stopped.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the process has not stopped: %v, %v", status, err)
	}
}

// A plugin that does not see the end of its lifeline, because it hangs before it calls Serve
// or is stopped, ends at the latest when the next host starts.
func TestNoStoppedPluginOutlivesTheNextHost(t *testing.T) {
	t.Parallel()
	needsProc(t)
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		h := newHosts(t)
		host, plugin, _ := h.start("no handshake")
		kill(host)
		if !plugintest.Alive(plugin) {
			t.Fatal("the plugin has ended with its host: the test shows nothing")
		}
		h.next()
		plugintest.WaitFor(t, "the plugin to end", func() bool { return !plugintest.Alive(plugin) })
	})
	// The death of the host makes an orphan of the plugin's process group. If the whole
	// plugin has stopped by then, the kernel sends SIGHUP and SIGCONT to the group, and
	// the plugin ends at once; otherwise it stays until the next host kills it.
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		h := newHosts(t)
		host, plugin, _ := h.start("hang at loss")
		if err := syscall.Kill(-plugin, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		kill(host)
		h.next()
		plugintest.WaitFor(t, "the plugin to end", func() bool { return !plugintest.Alive(plugin) })
	})
}
