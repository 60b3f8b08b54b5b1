package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// The first write to a folder of the user that is read-only or full says which variable moves the
// folder, and doctor says that it cannot be written.
func TestFoldersThatCannotBeWritten(t *testing.T) {
	model := copyModel(t, "tiny-vit")
	w := newTestProject(t)
	for name, c := range map[string]struct {
		folder func(testing.TB) string
		reason string
	}{"read-only": {testenv.ReadOnly, "read-only file system"}, "full": {fullDisk, "no space left on device"}} {
		for _, f := range []struct{ variable, finding, command string }{
			{"BRIDGE_CACHE", "cache", "caption kit:stage2 kit:held-out/0"},
			{"BRIDGE_CONFIG", "configuration", "models add tiny-vit --path " + model},
			{"BRIDGE_DATA", "user's plugins", "plugin add --user " + w.plugin},
		} {
			t.Run(name+" "+f.variable, func(t *testing.T) {
				t.Setenv(f.variable, filepath.Join(c.folder(t), "home", "bridge"))
				out := w.bridge(exitFailed, f.command, c.reason, "set "+f.variable+" to a folder")
				if strings.Count(out, "set "+f.variable) != 1 || strings.Count(out, "(") != 1 {
					t.Errorf("want one remedy, got %s", out)
				}
				if got := warningOf(t, w.bridge(exitDone, "doctor --json"), f.finding); !strings.Contains(got, c.reason) || !strings.Contains(got, "set "+f.variable) {
					t.Errorf("doctor warns %q, want the reason and the variable", got)
				}
			})
		}
	}
}

func fullDisk(t testing.TB) string {
	dir := testenv.SmallDisk(t)
	testenv.Fill(t, dir)
	return dir
}

// warningOf returns the warning of one of the doctor's findings.
func warningOf(t *testing.T, lines, name string) string {
	t.Helper()
	for line := range strings.Lines(lines) {
		var f finding
		must(t, json.Unmarshal([]byte(line), &f))
		if f.Name == name {
			return f.Warning
		}
	}
	t.Fatalf("doctor has no finding %q:\n%s", name, lines)
	return ""
}

// Without BRIDGE_CACHE the cache is in the home folder; a read-only home names the variable too.
func TestReadOnlyHome(t *testing.T) {
	testenv.Cache(t)
	t.Setenv("HOME", testenv.ReadOnly(t))
	t.Setenv("XDG_CACHE_HOME", "")
	must(t, os.Unsetenv("BRIDGE_CACHE"))
	_, stderr := mustExit(t, exitFailed, "caption", "kit:stage2", "kit:held-out/0")
	if !strings.Contains(stderr, "read-only file system (set BRIDGE_CACHE to a folder that you can write to)") {
		t.Errorf("got %s", stderr)
	}
}

// A run folder that cannot be written is refused at once, with the flag that moves it.
func TestRunFolderThatCannotBeWritten(t *testing.T) {
	testenv.Cache(t)
	_, stderr := mustExit(t, exitFailed, shortRun("train", "tiny-stage1", "--out", filepath.Join(testenv.ReadOnly(t), "run"))...)
	if !strings.Contains(stderr, "read-only file system (choose a folder that you can write to, with --out)") {
		t.Errorf("got %s", stderr)
	}
}

// Nothing expands ~ in a variable of a service, nor behind = in a flag. bridge makes no folder
// named ~.
func TestFoldersNamedByATilde(t *testing.T) {
	w := newTestProject(t)
	w.bridge(exitFailed, "compare kit:stage2 --out=~/compared", `the folder of the comparison is "~/compared"`)
	w.bridge(exitFailed, "convert kit:stage2 ~/converted", `the folder to write is "~/converted"`)
	for _, variable := range []string{"BRIDGE_CACHE", "BRIDGE_CONFIG", "BRIDGE_DATA"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "~/bridge")
			w.bridge(exitFailed, "doctor", variable+` is "~/bridge"`, "set it to \"")
		})
	}
	if _, err := os.Stat("~"); err == nil {
		t.Error("there is a folder named ~")
	}
}
