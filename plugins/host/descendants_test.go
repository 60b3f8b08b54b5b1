package host

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

func wantEnded(t *testing.T, file string, n int) {
	t.Helper()
	all := plugintest.Detached(t, file)
	if len(all) != n {
		t.Errorf("%d children were started, want %d", len(all), n)
	}
	for _, pid := range all {
		if plugintest.Alive(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Errorf("the child %d outlives the plugin", pid)
		}
	}
}

// What a plugin has started ends with it, though it has left the process group for
// a session of its own, and its parent has ended.
func TestNoDetachedChildOutlivesItsPlugin(t *testing.T) {
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
		p, file := open(t)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		wantEnded(t, file, 1)
	})
	t.Run("death", func(t *testing.T) {
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

// Nor does it outlive a host that is killed; if that and the plugin are killed at
// once, the next host ends it.
func TestNoDetachedChildOutlivesAKilledHost(t *testing.T) {
	needsProc(t)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, both := range []bool{false, true} {
		t.Run(fmt.Sprintf("plugin too %v", both), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "children")
			host, plugin, _ := startHost(t, path, "host, detached child", plugintest.DetachedKey+"="+file)
			if both { // stopped, neither can do anything about the other's end
				_ = syscall.Kill(plugin, syscall.SIGSTOP)
			}
			_ = host.Process.Kill()
			_ = host.Wait()
			if both {
				_ = syscall.Kill(-plugin, syscall.SIGKILL)
				if all := plugintest.Detached(t, file); len(all) != 1 || !plugintest.Alive(all[0]) {
					t.Fatalf("the children are %v, want one that runs yet", all)
				}
				next, err := wire.NewSocketDir()
				if err != nil {
					t.Fatal(err)
				}
				next.Remove()
			}
			for deadline := time.Now().Add(20 * time.Second); plugintest.Alive(plugin) && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond)
			}
			wantEnded(t, file, 1)
		})
	}
}

// A plugin that is deaf to its lifeline, since it is stopped or hangs before it has
// heard of one, is ended by the next host.
func TestNoStoppedPluginOutlivesTheNextHost(t *testing.T) {
	needsProc(t)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host, plugin, _ := startHost(t, path, "host", plugintest.DetachedKey+"=")
	defer syscall.Kill(-plugin, syscall.SIGKILL)
	if err := syscall.Kill(-plugin, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_ = host.Process.Kill()
	_ = host.Wait()
	if !plugintest.Alive(plugin) {
		t.Fatal("the plugin is not deaf")
	}
	next, err := wire.NewSocketDir()
	if err != nil {
		t.Fatal(err)
	}
	defer next.Remove()
	if plugintest.Alive(plugin) {
		t.Error("the plugin lives on")
	}
}
