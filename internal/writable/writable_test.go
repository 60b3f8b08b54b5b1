package writable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// wantExplained checks that an error names the variable once, and has one remedy.
func wantExplained(t *testing.T, err error, kind adapters.Kind, remedy string) {
	t.Helper()
	err = Explain(err, "/the/folder", "BRIDGE_CACHE")
	if err == nil || adapters.KindOf(err) != kind || !strings.HasSuffix(err.Error(), "("+remedy+")") || strings.Count(err.Error(), "BRIDGE_CACHE") != 1 {
		t.Errorf("got %v of kind %v, want kind %v and the remedy %q", err, adapters.KindOf(err), kind, remedy)
	}
}

func TestReadOnly(t *testing.T) {
	dir := testenv.ReadOnly(t)
	for _, at := range []string{dir, filepath.Join(dir, "a", "b")} {
		if err := Check(at); !errors.Is(err, syscall.EROFS) {
			t.Errorf("Check(%s) = %v, want a read-only file system", at, err)
		}
	}
	wantExplained(t, os.Mkdir(filepath.Join(dir, "a"), 0o755), adapters.Unsupported, "set BRIDGE_CACHE to a folder that you can write to")
}

func TestFull(t *testing.T) {
	dir := testenv.SmallDisk(t)
	if err := Check(dir); err != nil {
		t.Errorf("an empty disk: %v", err)
	}
	testenv.Fill(t, dir)
	if err := Check(filepath.Join(dir, "a")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v", err)
	}
	err := os.WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o644)
	wantExplained(t, err, adapters.Exhausted, "free disk space, or set BRIDGE_CACHE to a folder on a larger disk")
}

func TestOtherErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Check(filepath.Join(file, "cache")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	wantExplained(t, os.MkdirAll(filepath.Join(file, "cache"), 0o755), adapters.Unsupported, "set BRIDGE_CACHE to a folder that you can write to")
	if err := Check(filepath.Join(t.TempDir(), "new", "folder")); err != nil {
		t.Errorf("a folder that can be made: %v", err)
	}
	for _, err := range []error{nil, errors.New("damaged")} {
		if got := Explain(err, "/x", "V"); got != err {
			t.Errorf("Explain(%v) = %v, want the error itself", err, got)
		}
	}
}
