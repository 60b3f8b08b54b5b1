package checkpoint_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/train/checkpoint"
)

// write makes a checkpoint of two files, one in a folder.
func write(dir string, step, keep int) (string, error) {
	return checkpoint.Write(dir, step, keep, func(tmp string) error {
		if err := os.Mkdir(filepath.Join(tmp, "sub"), 0o755); err != nil {
			return err
		}
		for _, name := range []string{"weights", "sub/state"} {
			if err := os.WriteFile(filepath.Join(tmp, name), fmt.Appendf(nil, "%s of %d", name, step), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

func mustWrite(t *testing.T, dir string, step, keep int) string {
	t.Helper()
	path, err := write(dir, step, keep)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// names returns what lies in a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// mustBeLatest checks what a resumed run would find.
func mustBeLatest(t *testing.T, dir string, step int) {
	t.Helper()
	path, passed, err := checkpoint.Latest(dir)
	if err != nil || len(passed) != 0 {
		t.Fatal(err, passed)
	}
	got, err := os.ReadFile(filepath.Join(path, "weights"))
	if want := fmt.Sprintf("weights of %d", step); err != nil || string(got) != want {
		t.Errorf("%s holds %q, want %q (%v)", path, got, want, err)
	}
}

func TestNewestAreKeptAndFound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	if _, _, err := checkpoint.Latest(dir); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("no folder: got %v, want kind not found", err)
	}
	for _, step := range []int{5, 90, 1000, 999999, 1000000} {
		path := mustWrite(t, dir, step, 2)
		if want := fmt.Sprintf("step-%06d", step); filepath.Base(path) != want {
			t.Errorf("written to %s, want %s", path, want)
		}
		mustBeLatest(t, dir, step)
	}
	if got, want := names(t, dir), []string{"step-1000000", "step-999999"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
	mustWrite(t, dir, 1000000, 2) // the same step once more
	mustBeLatest(t, dir, 1000000)
}

func TestCorruptCheckpointIsPassedOver(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"weights": func(p string) error { return os.WriteFile(filepath.Join(p, "weights"), []byte("weights of 3"), 0o644) },
		"sub/state": func(p string) error {
			return os.Truncate(filepath.Join(p, "sub", "state"), 3)
		},
		"state":         func(p string) error { return os.Remove(filepath.Join(p, "sub", "state")) },
		"manifest.json": func(p string) error { return os.Truncate(filepath.Join(p, "manifest.json"), 20) },
		"no such file":  func(p string) error { return os.Remove(filepath.Join(p, "manifest.json")) },
		`"../secret"`: func(p string) error {
			return os.WriteFile(filepath.Join(p, "manifest.json"), []byte(`{"files": {"../secret": "x"}}`), 0o644)
		},
	} {
		dir := t.TempDir()
		old, young := mustWrite(t, dir, 1, 3), mustWrite(t, dir, 2, 3)
		if err := damage(young); err != nil {
			t.Fatal(err)
		}
		path, passed, err := checkpoint.Latest(dir)
		if err != nil || path != old || len(passed) != 1 {
			t.Fatalf("%s: got %q, %v, %v, want %s", name, path, passed, err, old)
		}
		problem := passed[0]
		if adapters.KindOf(problem) != adapters.Corrupt || !strings.Contains(problem.Error(), name) || !strings.Contains(problem.Error(), young) {
			t.Errorf("%s: passed over for %v, want the folder and the file named", name, problem)
		}
		if err := damage(old); err != nil {
			t.Fatal(err)
		}
		if path, _, err := checkpoint.Latest(dir); adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), "name another with --out") {
			t.Errorf("%s: none is intact, got %q, %v", name, path, err)
		}
	}
}

func TestFailedWriteChangesNothing(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, 1, 1)
	trouble := errors.New("trouble")
	_, err := checkpoint.Write(dir, 2, 1, func(tmp string) error {
		if err := os.WriteFile(filepath.Join(tmp, "weights"), make([]byte, 100), 0o644); err != nil {
			return err
		}
		return trouble
	})
	if !errors.Is(err, trouble) {
		t.Errorf("got %v, want the cause", err)
	}
	if got, want := names(t, dir), []string{"step-000001"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
	mustBeLatest(t, dir, 1)
}
