package xlaflags_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/internal/xlaflags"
)

// unknown is a flag that no XLA knows. XLA ends the process because of it.
const unknown = "--xla_no_such_flag=1"

// known is a flag that every XLA knows. A trial of it succeeds.
const known = "--xla_backend_optimization_level=0"

func cpuPlugin(t *testing.T) string {
	t.Helper()
	choice, err := backends.Choose(backends.XLACPU)
	if err != nil {
		testenv.Lacking(t, "an XLA CPU plugin (install it with tools/xla/install-cpu.sh)", err)
	}
	return choice.Plugin
}

func TestTrialTellsKnownFlagsFromUnknown(t *testing.T) {
	trial := xlaflags.Trial{Plugin: cpuPlugin(t), Folder: filepath.Join(t.TempDir(), "made")}
	groups := [][]string{{known}, {"--xla_gpu_autotune_level=0", unknown}}
	check := func(answers []xlaflags.Answer, err error) {
		t.Helper()
		if err != nil || !answers[0].Works || answers[1].Works || !strings.Contains(answers[1].Why, "Unknown flag in XLA_FLAGS: "+unknown) {
			t.Fatalf("got %+v, %v; want that the first works and XLA's reason for the second", answers, err)
		}
	}
	check(trial.Ask(t.Context(), groups))

	t.Setenv(xlaflags.Variable, unknown) // from now on every process with the plugin ends
	check(trial.Ask(t.Context(), groups))
	before, err := os.ReadFile(filepath.Join(trial.Folder, "flags.json"))
	if err != nil {
		t.Fatal(err)
	}
	answers, err := trial.Ask(t.Context(), append(groups, []string{"--xla_dump_max_hlo_modules=1"}))
	if err == nil || !strings.Contains(err.Error(), "Unknown flag") {
		t.Errorf("a plugin that ends without more flags gave %+v, %v; want an error with its reason", answers, err)
	}
	after, err := os.ReadFile(filepath.Join(trial.Folder, "flags.json"))
	if err != nil || string(before) != string(after) {
		t.Errorf("answers changed from %s to %s, %v", before, after, err)
	}
}

func TestTrialOfAFileThatIsNoPlugin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pjrt_c_api_cuda_plugin.so")
	if err := os.WriteFile(file, []byte("not a library"), 0o644); err != nil {
		t.Fatal(err)
	}
	trial := xlaflags.Trial{Plugin: file, Folder: t.TempDir()}
	if answers, err := trial.Ask(t.Context(), [][]string{{known}}); err == nil || trial.Kept([][]string{{known}})[0] != nil {
		t.Errorf("got %v, %v; want an error, and nothing kept", answers, err)
	}
}

// A stop of the command must not look like a flag that the plugin does not know.
func TestTrialThatIsEndedKeepsNothing(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	trial := xlaflags.Trial{Plugin: cpuPlugin(t), Folder: t.TempDir()}
	if answers, err := trial.Ask(ctx, [][]string{{unknown}}); err == nil || trial.Kept([][]string{{unknown}})[0] != nil {
		t.Errorf("got %v, %v; want an error, and nothing kept", answers, err)
	}
}

// Two processes that start at once try the same flags. Their answers are the same, and both can be kept
// or not.
func TestTrialsAtOnce(t *testing.T) {
	plugin := cpuPlugin(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	shared := t.TempDir()
	folders := []string{shared, shared, filepath.Join(file, "no folder")}
	var all sync.WaitGroup
	for _, folder := range folders {
		all.Go(func() {
			answers, err := xlaflags.Trial{Plugin: plugin, Folder: folder}.Ask(t.Context(), [][]string{{known}})
			if err != nil || !answers[0].Works {
				t.Errorf("with answers in %s: %+v, %v", folder, answers, err)
			}
		})
	}
	all.Wait()
	if kept := (xlaflags.Trial{Plugin: plugin, Folder: shared}).Kept([][]string{{known}})[0]; kept == nil || !kept.Works {
		t.Errorf("kept %+v, want that the flag works", kept)
	}
	if names, err := filepath.Glob(filepath.Join(shared, "*")); err != nil || len(names) != 1 {
		t.Errorf("the folder has %v, %v; want one file", names, err)
	}
}

// Answers of a plugin's file do not hold for another file in its place.
func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]string{}
	for _, content := range []string{"one", "other"} {
		for _, name := range []string{"a.so", "b.so"} {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			id, err := xlaflags.Identity(path)
			if err != nil || seen[id] != "" {
				t.Errorf("%s with %q: %s, %v, which is that of %s", name, content, id, err, seen[id])
			}
			seen[id] = name + " with " + content
		}
	}
	if _, err := xlaflags.Identity(filepath.Join(dir, "none.so")); err == nil {
		t.Error("a missing file has an identity")
	}
}
