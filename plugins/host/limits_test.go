package host

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/internal/xlaflags"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

func needsProc(t *testing.T) {
	t.Helper()
	if err := procfs.Available(); err != nil {
		testenv.Lacking(t, "a /proc to see memory in", err)
	}
}

func TestGPUMemoryLimit(t *testing.T) {
	limited := (&Limits{GPUMemory: 0.4}).environment()
	if !slices.Equal(limited, []string{"BRIDGE_GPU_MEMORY=0.4"}) {
		t.Errorf("the plugin's environment gets %q, want the share of the GPU's memory", limited)
	}
}

// A plugin's XLA may not know the flags that bridge adds for its own, and would end because of them.
func TestPluginsGetTheUsersXLAFlags(t *testing.T) {
	flags := func() []string {
		return slices.DeleteFunc(config(t, "", "language").Environ(t.TempDir()), func(entry string) bool {
			return !strings.HasPrefix(entry, xlaflags.Variable+"=")
		})
	}
	user := flags()
	if err := xlaflags.Set([]string{"--xla_added=1"}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := xlaflags.Set(nil); err != nil {
			t.Error(err)
		}
	}()
	if got := flags(); !strings.Contains(os.Getenv(xlaflags.Variable), "--xla_added=1") || !slices.Equal(got, user) {
		t.Errorf("this process has XLA_FLAGS %q, the plugin %q; want the plugin's as before, %q", os.Getenv(xlaflags.Variable), got, user)
	}
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	needsProc(t)
	const limit = 200e6
	for _, place := range []string{"allocate at loss", "a child allocates at loss", "a detached child allocates at loss"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, place, "language")
			cfg.Limits.Memory, cfg.Restart.Limit = limit, -1
			_, err := openLanguage(t, cfg).Loss(t.Context(), plugintest.LossRequest(false))
			plugintest.WantError(t, err, adapters.Unavailable, "killed by bridge: it held ", "its limit is 200 MB", "raise memory_limit", "plugin fake", "rpc Loss")
		})
	}
	t.Run("load", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "allocate at load", "language")
		cfg.Limits.Memory = limit
		_, err := OpenLanguage(t.Context(), cfg)
		plugintest.WantError(t, err, adapters.Unavailable, "its limit is 200 MB", "raise memory_limit", "rpc Load")
	})
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "allocate once at loss", "language")
		cfg.Limits.Memory = limit
		if _, err := openLanguage(t, cfg).Loss(t.Context(), plugintest.LossRequest(false)); err != nil {
			t.Errorf("the request was not repeated: %v", err)
		}
	})
	t.Run("below", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "slow at load", "language")
		cfg.Limits.Memory = 4e9
		openLanguage(t, cfg)
	})
}

func TestDevicesAndThreads(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "5")
	t.Setenv("OMP_NUM_THREADS", "64")
	none, two := "", "0,1"
	for _, c := range []struct {
		limits Limits
		want   string
	}{
		{Limits{}, "devices 5 true, threads 64, memory "},
		{Limits{Devices: &two, Threads: 3, Memory: 8e9}, "devices 0,1 true, threads 3, memory 7200000000"},
		{Limits{Devices: &none}, "devices  true, threads 64, memory "},
	} {
		cfg := config(t, "report limits", "language")
		cfg.Limits = c.limits
		_, err := openLanguage(t, cfg).Loss(t.Context(), plugintest.LossRequest(false))
		plugintest.WantError(t, err, adapters.NotFound, c.want+";")
	}
}

func TestCallTimeout(t *testing.T) {
	t.Parallel()
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "hang at loss", "language")
		cfg.Limits.Call, cfg.Restart.Limit = 200*time.Millisecond, 1
		m := openLanguage(t, cfg)
		_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
		plugintest.WantError(t, err, adapters.Unavailable, "died 2 times", "did not answer within 200ms, 2 times", "raise call_timeout", "plugin fake")
		for _, once := range []string{"killed by bridge", "plugin fake", "rpc Loss", "raise call_timeout"} {
			if n := strings.Count(err.Error(), once); n != 1 {
				t.Errorf("%q is said %d times, want once: %v", once, n, err)
			}
		}
	})
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "hang once at loss", "language")
		cfg.Limits.Call = 3 * time.Second
		if _, err := openLanguage(t, cfg).Loss(t.Context(), plugintest.LossRequest(false)); err != nil {
			t.Errorf("the request was not repeated: %v", err)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "hang at loss", "language")
		cfg.Limits.Call = time.Hour
		m := openLanguage(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := m.Loss(ctx, plugintest.LossRequest(false))
		plugintest.WantError(t, err, adapters.Canceled, "rpc Loss")
	})
}
