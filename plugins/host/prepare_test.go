package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// shell configures a shell script in place of a plugin.
func shell(t *testing.T, script string) Config {
	t.Helper()
	return Config{Name: "shell", Path: "/bin/sh", Args: []string{"-c", script}}
}

func TestPrivateFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("BRIDGE_CACHE", "cache")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	said := filepath.Join(here, "said")
	_, err = Launch(t.Context(), shell(t, `{ pwd; ls -ld . | cut -c1-10; echo "$TMPDIR $BRIDGE_CACHE $PYTHONDONTWRITEBYTECODE"; } >`+said))
	plugintest.WantError(t, err, adapters.Unavailable, "failed to start")
	text, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(string(text), "\n")
	if want := got[0] + " " + filepath.Join(here, "cache") + " 1"; got[1] != "drwx------" || got[2] != want || got[0] == here {
		t.Errorf("the plugin sees %q, want its own folder and %q", got, want)
	}
	if _, err := os.Stat(got[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left: %v", err)
	}
}

// A plugin does not read the user's input.
func TestPluginsHaveNoStandardInput(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if _, err := write.WriteString("the user's\n"); err != nil {
		t.Fatal(err)
	}
	write.Close()
	before := os.Stdin
	os.Stdin = read
	defer func() { os.Stdin = before }()
	_, err = Launch(t.Context(), shell(t, `echo "got $(cat)." >&2`))
	plugintest.WantError(t, err, adapters.Unavailable, "\tgot .")
}

func TestRestartsComeAfterLongerAndLongerPauses(t *testing.T) {
	t.Parallel()
	r := Restart{Backoff: 200 * time.Millisecond, MaxBackoff: 10 * time.Second}
	for deaths, want := range map[int]time.Duration{0: 200 * time.Millisecond, 1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 6: 6400 * time.Millisecond,
		7: 10 * time.Second, 1000: 10 * time.Second} {
		if got := r.delay(deaths); got != want {
			t.Errorf("after %d deaths %v, want %v", deaths, got, want)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	cfg := shell(t, "touch "+filepath.Join(t.TempDir(), "ran"))
	cfg.Prepare = func(*exec.Cmd) error {
		return adapters.Errorf(adapters.Corrupt, "it changed").WithRemedy("put it back")
	}
	_, err := Launch(t.Context(), cfg)
	plugintest.WantError(t, err, adapters.Corrupt, "it changed", "put it back")
	if _, err := os.Stat(strings.TrimPrefix(cfg.Args[1], "touch ")); err == nil {
		t.Error("the process ran")
	}
}

// Prepare is called before a restart, too. Its error ends the attempts.
func TestPrepareAtEveryStart(t *testing.T) {
	t.Parallel()
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
	_, err := openLanguage(t, cfg).Loss(t.Context(), plugintest.LossRequest(false))
	plugintest.WantError(t, err, adapters.Corrupt, "it changed")
	if starts != 3 {
		t.Errorf("prepared %d starts, want 3", starts)
	}
}

// A plugin inherits neither the host's open files nor those that the host has inherited.
func TestOpenFilesAreNotInherited(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd())) // not marked, as a shell's
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	wrote := filepath.Join(dir, "wrote")
	if _, err := OpenLanguage(t.Context(), shell(t, fmt.Sprintf(">%s; echo got it >&%d", wrote, fd))); err == nil {
		t.Fatal("a script is no plugin")
	}
	if _, err := os.Stat(wrote); err != nil {
		t.Fatal("the program did not run")
	}
	if text, err := os.ReadFile(f.Name()); err != nil || len(text) > 0 {
		t.Errorf("the plugin wrote %q, %v", text, err)
	}
}
