package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDirAppearsWholeOrNotAtAll(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b")
	broken := errors.New("broken")
	write := func(dir string) error { return os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o644) }
	err := Dir(path, func(dir string) error { return errors.Join(write(dir), broken) })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of fill", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("a failed write left %v", left)
	}
	if err := Dir(path, write); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(path, "file")); err != nil || string(data) != "x" {
		t.Errorf("the file has %q, %v", data, err)
	}
	if err := Dir(path, write); err == nil || !strings.Contains(err.Error(), "files in it") {
		t.Errorf("an existing folder: %v", err)
	}
	empty := filepath.Join(root, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Dir(empty, write); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
}
