package plugins

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// shell is a plugin that says something on its standard error and ends.
func shell(t *testing.T, script string) Config {
	t.Helper()
	return Config{Name: "shell", Path: "/bin/sh", Args: []string{"-c", script}}
}

// lines are the last ones that the plugin printed.
func lines(t *testing.T, err error) []string {
	t.Helper()
	var where *ProcessError
	if !errors.As(err, &where) || len(where.Stderr) == 0 {
		t.Fatalf("got %v, want a story with the last lines", err)
	}
	return where.Stderr
}

func TestPrivateFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("BRIDGE_CACHE", "cache")
	_, err := Launch(t.Context(), shell(t, `pwd >&2; ls -ld . | cut -c1-10 >&2; echo "$TMPDIR $BRIDGE_CACHE $PYTHONDONTWRITEBYTECODE" >&2`))
	got := lines(t, err)
	here, _ := os.Getwd()
	if want := got[0] + " " + filepath.Join(here, "cache") + " 1"; got[1] != "drwx------" || got[2] != want || got[0] == here {
		t.Errorf("the plugin sees %q, want its own folder and %q", got, want)
	}
	if _, err := os.Stat(got[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left: %v", err)
	}
}

func TestPrepareRefuses(t *testing.T) {
	cfg := shell(t, "touch "+filepath.Join(t.TempDir(), "ran"))
	cfg.Prepare = func(*exec.Cmd) error {
		return adapters.Errorf(adapters.Corrupt, "it changed").WithRemedy("put it back")
	}
	_, err := Launch(t.Context(), cfg)
	wantError(t, err, adapters.Corrupt, "it changed", "put it back")
	if _, err := os.Stat(strings.TrimPrefix(cfg.Args[1], "touch ")); err == nil {
		t.Error("the process ran")
	}
}

// A restart is a start: what has changed since is noticed, and not tried again.
func TestPrepareAtEveryStart(t *testing.T) {
	cfg := config(t, "crash at loss", "language")
	starts := 0
	cfg.Prepare = func(cmd *exec.Cmd) error {
		if cmd.Dir == "" || cmd.Path != cfg.Path || len(cmd.Env) == 0 {
			t.Errorf("the command is %+v", cmd)
		}
		if starts++; starts == 3 {
			return adapters.Errorf(adapters.Corrupt, "it changed")
		}
		return nil
	}
	_, err := openLanguage(t, cfg).Loss(t.Context(), lossRequest(false))
	wantError(t, err, adapters.Corrupt, "it changed")
	if starts != 3 {
		t.Errorf("prepared %d starts, want 3", starts)
	}
}
