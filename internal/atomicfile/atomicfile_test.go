package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
)

func TestWriteReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	for _, want := range []string{"first, and longer", "second"} {
		if err := WriteBytes(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		mustHold(t, path, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v (%v), want readable for all", info.Mode(), err)
	}
}

func TestFailedWriteKeepsTheOldContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	if err := WriteBytes(path, []byte("before")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := Write(path, func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 3<<20)); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), path+" cannot be written") {
		t.Errorf("got %v, want the cause and the file", err)
	}
	mustHold(t, path, "before")
}

func TestFullDisk(t *testing.T) {
	path := filepath.Join(testenv.SmallDisk(t), "x.json")
	if err := WriteBytes(path, []byte("before")); err != nil {
		t.Fatal(err)
	}
	err := WriteBytes(path, make([]byte, 1<<20))
	if adapters.KindOf(err) != adapters.Exhausted || !strings.Contains(err.Error(), "free disk space") {
		t.Errorf("got %v, want kind exhausted and a remedy", err)
	}
	mustHold(t, path, "before")
}

// mustHold checks the content of a file, and that its folder has no other file.
func mustHold(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("the file has %d bytes (%v), want %q", len(got), err, want)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v (%v), want only the file", entries, err)
	}
}
