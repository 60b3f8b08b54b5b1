package backends

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/cachedir"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/internal/xlaflags"
)

// everything says that a plugin knows all flags.
func everything(_ xlaflags.Trial, caches []xlaCache) ([]xlaflags.Answer, error) {
	answers := make([]xlaflags.Answer, len(caches))
	for i := range answers {
		answers[i].Works = true
	}
	return answers, nil
}

// cudaFile returns a plugin for CUDA that is never loaded.
func cudaFile(t *testing.T) Plugin {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pjrt_c_api_cuda_plugin.so")
	if err := os.WriteFile(path, []byte("not a library"), 0o644); err != nil {
		t.Fatal(err)
	}
	return Plugin{Kind: "cuda", Path: path}
}

// The CPU plugin knows the flags for CUDA, so it can take the place of the other one.
func TestCachesOfAPluginThatComputes(t *testing.T) {
	choice, err := Choose(XLACPU)
	if err != nil {
		testenv.Lacking(t, "an XLA CPU plugin (install it with tools/xla/install-cpu.sh)", err)
	}
	cache := t.TempDir()
	t.Setenv(cachedir.Variable, cache)
	plugin := Plugin{Kind: "cuda", Path: choice.Plugin}
	described, err := DescribeXLACaches(plugin)
	if err != nil || len(described.Flags) > 0 || !strings.Contains(strings.Join(described.LeftOut, ""), "not tried yet") {
		t.Errorf("before the first use: %+v, %v", described, err)
	}
	user := xlaflags.User()
	defer func() {
		if err := xlaflags.Set(nil); err != nil {
			t.Error(err)
		}
	}()
	if err := setXLAFlags(plugin); err != nil {
		t.Fatal(err)
	}
	flag, folder, _ := strings.Cut(os.Getenv(xlaflags.Variable), "=")
	if info, err := os.Stat(folder); flag != "--xla_gpu_per_fusion_autotune_cache_dir" || err != nil || !info.IsDir() || !strings.HasPrefix(folder, cache) {
		t.Errorf("XLA_FLAGS is %q, want the folder of autotuning, which is there: %v", os.Getenv(xlaflags.Variable), err)
	}
	if xlaflags.User() != user {
		t.Errorf("the user's flags changed from %q to %q", user, xlaflags.User())
	}
	var log strings.Builder
	LogXLACaches(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if !strings.Contains(log.String(), folder) || strings.Contains(log.String(), "not used") {
		t.Errorf("the log is %q, want the flag", log.String())
	}
	if described, err = DescribeXLACaches(plugin); err != nil || len(described.Flags) != 1 || len(described.LeftOut) != 0 {
		t.Errorf("after the first use: %+v, %v", described, err)
	}
	if err := setXLAFlags(Plugin{Kind: "cpu", Path: choice.Plugin}); err != nil || os.Getenv(xlaflags.Variable) != user {
		t.Errorf("another plugin gets XLA_FLAGS %q, want the user's %q: %v", os.Getenv(xlaflags.Variable), user, err)
	}
}

func TestCachesAreSelected(t *testing.T) {
	t.Setenv(cachedir.Variable, t.TempDir())
	plugin := cudaFile(t)
	for value, want := range map[string]string{"": "--xla_gpu_per_fusion_autotune_cache_dir=", "autotune": "--xla_gpu_per_fusion_autotune_cache_dir=", "off": "left out: all: BRIDGE_XLA_CACHES is off"} {
		t.Setenv(XLACachesVariable, value)
		if got, err := xlaCaches(plugin, everything); err != nil || !strings.HasPrefix(got.String(), want) || len(got.Flags)+len(got.LeftOut) != 1 {
			t.Errorf("%s=%s: %s, %v, want %s", XLACachesVariable, value, got, err, want)
		}
	}
	t.Setenv(XLACachesVariable, "all")
	got, err := xlaCaches(plugin, everything)
	if err != nil || len(got.Flags) != 2 && !strings.Contains(strings.Join(got.LeftOut, ""), "kernels: the driver does not name") {
		t.Errorf("all: %+v, %v, want two flags, or on a machine without cards the reason", got, err)
	}
	t.Setenv(XLACachesVariable, "yes")
	if _, err := xlaCaches(plugin, everything); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "want autotune, all or off") {
		t.Errorf("yes: %v", err)
	}
	if got, err := xlaCaches(Plugin{Kind: "cpu", Path: plugin.Path}, everything); err != nil || got.String() != "none" {
		t.Errorf("XLA for the CPU gets %+v, %v, want nothing", got, err)
	}
}

// Whatever is wrong with a cache, the others are used and the plugin is opened.
func TestCachesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	caches := func() []xlaCache {
		return []xlaCache{
			{name: "good", folder: dir, flags: []string{"--xla_good=1"}},
			{name: "file", folder: filepath.Join(file, "below"), flags: []string{"--xla_file=1"}},
			{name: "space", folder: filepath.Join(dir, "my cache"), flags: []string{"--xla_space=1"}},
			{name: "user", folder: dir, flags: []string{"--xla_user=1"}},
		}
	}
	got := usable(xlaflags.Trial{}, caches(), "--xla_user=2", everything)
	if !slices.Equal(got.Flags, []string{"--xla_good=1"}) || len(got.LeftOut) != 3 {
		t.Fatalf("got %+v, want the good one and three reasons", got)
	}
	for i, want := range []string{"file: cannot write to", "space: XLA cannot read", "user: XLA_FLAGS has --xla_user"} {
		if !strings.HasPrefix(got.LeftOut[i], want) {
			t.Errorf("reason %d is %q, want %q", i, got.LeftOut[i], want)
		}
	}
	got = usable(xlaflags.Trial{}, caches()[:1], "", func(xlaflags.Trial, []xlaCache) ([]xlaflags.Answer, error) { return nil, errors.New("it crashed") })
	if len(got.Flags) != 0 || !slices.Equal(got.LeftOut, []string{"good: it crashed"}) {
		t.Errorf("with a plugin that crashes: %+v", got)
	}
}

func TestKernelsAreKeptByCard(t *testing.T) {
	t.Setenv("CUDA_VISIBLE_DEVICES", "0")
	one, _ := cardsKey([]string{"NVIDIA H200"})
	two, _ := cardsKey([]string{"NVIDIA H200", "NVIDIA L4"})
	t.Setenv("CUDA_VISIBLE_DEVICES", "1")
	other, lacks := cardsKey([]string{"NVIDIA H200", "NVIDIA L4"})
	if one == two || two == other || one == "" || lacks != "" {
		t.Errorf("got %q, %q and %q, %q", one, two, other, lacks)
	}
	if key, lacks := cardsKey(nil); key != "" || lacks == "" {
		t.Errorf("unknown cards have the key %q, without a reason", key)
	}
}
