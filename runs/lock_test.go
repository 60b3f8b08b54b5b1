package runs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/recipes"
)

func TestReleasedFolderCanBeLockedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	for range 2 {
		release, err := lockNew.acquire(dir)
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if err := os.WriteFile(filepath.Join(dir, recipes.RunFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := lockNew.acquire(dir); err == nil || !strings.Contains(err.Error(), "already contains a run") {
		t.Errorf("a run replaced another: %v", err)
	}
	release, err := lockReplace.acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if got := dirListing(t, dir); got != processLockFile+":0" {
		t.Errorf("the replaced run left %s", got)
	}
}

// dirListing returns the names and sizes of the files in a folder.
func dirListing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(e.Name(), ":", info.Size()))
	}
	return strings.Join(all, " ")
}
