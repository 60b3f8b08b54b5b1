package fleet

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// copies returns folders with copies of a bridge of the kit.
func copies(t *testing.T, names ...string) (dirs []string) {
	t.Helper()
	kit, err := workspace.KitDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(kit, "stage2"))); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

func entryFor(name, model string) Entry {
	restarts := 1 // a pointer of its own for each bridge
	return Entry{Name: name, Model: model, Open: workspace.OpenOptions{Backend: "go", Limits: recipes.Limits{Restarts: &restarts}}}
}

// newFleet returns a fleet that is closed at the end of the test, and the number of language models
// that it has closed.
func newFleet(t *testing.T, memory int64) (f *Fleet, closed *atomic.Int64) {
	t.Helper()
	closed = new(atomic.Int64)
	f = New(Options{Workspace: workspace.New(workspace.Options{}), Memory: memory, Closed: func(adapters.LanguageModel) { closed.Add(1) }})
	t.Cleanup(f.Close)
	return f, closed
}

func acquire(t *testing.T, f *Fleet, name string) *Lease {
	t.Helper()
	l, err := f.Acquire(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// bytesOf returns the memory of a bridge that shares nothing.
func bytesOf(l *Lease) (total int64) {
	for _, bytes := range partsOf(l.Model) {
		total += bytes
	}
	return total
}

func loaded(f *Fleet) (names []string) {
	for _, s := range f.Status() {
		if s.Loaded {
			names = append(names, s.Name)
		}
	}
	return names
}

// recordSize records the default size of pictures in a bridge, as newer runs do. The kit's bridges
// record none.
func recordSize(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, "bridge.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sized := bytes.Replace(text, []byte(`"layer": -1`), []byte(`"layer": -1, "image": {"width": 64, "height": 64}`), 1)
	if bytes.Equal(sized, text) {
		t.Fatalf("%s has no layer of an encoder, or the size already", file)
	}
	if err := os.WriteFile(file, sized, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBridgesShareFrozenModels(t *testing.T) {
	dirs := copies(t, "a", "b")
	recordSize(t, dirs[1])
	f, closed := newFleet(t, 0)
	f.Set([]Entry{entryFor("a", dirs[0]), entryFor("b", dirs[1])})
	if failed := f.Load(t.Context()); len(failed) > 0 {
		t.Fatal(failed)
	}
	a, b := acquire(t, f, "a"), acquire(t, f, "b")
	if a.Bridge == b.Bridge || a.Language != b.Language || a.Vision != b.Vision {
		t.Error("two bridges with the same frozen models do not share them, or are one")
	}
	if c := f.Counts(); c.Loaded != 2 || c.Models != 2 || c.Memory != bytesOf(a)+int64(b.Store().ByteSize()) {
		t.Errorf("counts %+v, one bridge takes %d", c, bytesOf(a))
	}
	f.Set([]Entry{entryFor("b", dirs[1])})
	a.Release()
	f.closing.Wait()
	if _, err := b.Language.(adapters.TokenCounter).CountTokens(t.Context(), []string{"x"}); err != nil || closed.Load() != 0 {
		t.Errorf("the language model that b needs is closed with a: %v", err)
	}
	b.Release()
	f.Close()
	if n := closed.Load(); n != 1 {
		t.Errorf("%d language models closed, want 1", n)
	}
	if models, bytes := f.pool.Models(); models != 0 || bytes != 0 {
		t.Errorf("%d models are open at the end", models)
	}
	if _, err := f.Acquire(t.Context(), "b"); !errors.Is(err, ErrUnknown) {
		t.Errorf("a bridge that is gone: %v", err)
	}
}

func TestTheMemoryBudgetEvictsWhatWasUsedLongestAgo(t *testing.T) {
	dirs := copies(t, "a", "b", "c")
	probe, _ := newFleet(t, 0)
	probe.Set([]Entry{entryFor("a", dirs[0])})
	l := acquire(t, probe, "a")
	one, own := bytesOf(l), int64(l.Store().ByteSize())
	l.Release()

	f, _ := newFleet(t, one+own+own/2) // room for two bridges that share their frozen models
	f.Set([]Entry{entryFor("a", dirs[0]), entryFor("b", dirs[1]), entryFor("c", dirs[2])})
	for _, name := range []string{"a", "b", "a", "c"} {
		acquire(t, f, name).Release()
	}
	if got := loaded(f); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("%v are loaded, want a and c: b was used longest ago", got)
	}
	a, c := acquire(t, f, "a"), acquire(t, f, "c")
	if _, err := f.Acquire(t.Context(), "b"); adapters.KindOf(err) != adapters.Exhausted {
		t.Errorf("a bridge that does not fit beside those in use: %v", err)
	}
	a.Release()
	acquire(t, f, "b").Release() // a made room
	if got := loaded(f); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("%v are loaded, want b and c", got)
	}
	c.Release()
	if n := f.Counts().Evicted; n != 2 {
		t.Errorf("%d bridges were evicted, want 2", n)
	}
}

// Requests that began before a replacement must end on the old bridge.
func TestReplacing(t *testing.T) {
	dirs := copies(t, "a")
	f, _ := newFleet(t, 0)
	f.Set([]Entry{entryFor("a", dirs[0])})
	old := acquire(t, f, "a")
	seen := map[string]string{}
	f.look(t.Context(), seen)
	f.look(t.Context(), seen)
	if now := acquire(t, f, "a"); now.Bridge != old.Bridge {
		t.Error("a bridge whose files stay is replaced")
	} else {
		now.Release()
	}
	rewrite(t, dirs[0], "bridge.json")
	f.look(t.Context(), seen) // the files may still be written
	if now := acquire(t, f, "a"); now.Bridge != old.Bridge {
		t.Error("a bridge is replaced while its files change")
	} else {
		now.Release()
	}
	f.look(t.Context(), seen)
	now := acquire(t, f, "a")
	defer now.Release()
	if now.Bridge == old.Bridge {
		t.Error("a bridge whose files have changed is not replaced")
	}
	if _, err := old.Language.(adapters.TokenCounter).CountTokens(t.Context(), []string{"x"}); err != nil {
		t.Errorf("the old bridge is closed while a request uses it: %v", err)
	}
	old.Release()
	f.closing.Wait()
	if !old.closed {
		t.Error("the old bridge stays open when nobody uses it")
	}

	if err := os.WriteFile(filepath.Join(dirs[0], "bridge.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if failed := f.Refresh(t.Context()); failed["a"] == nil {
		t.Error("damaged files give no error")
	}
	after := acquire(t, f, "a")
	defer after.Release()
	if after.Bridge != now.Bridge {
		t.Error("the bridge does not stay when its new files are damaged")
	}
}

// rewrite writes a file anew with the same content, as `bridge train` does at the end of a run.
func rewrite(t *testing.T, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, name)
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(content, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A name that stands for another bridge from now on must answer all the time.
func TestSetKeepsTheOldBridgeUntilTheNewOneIsOpen(t *testing.T) {
	dirs := copies(t, "a", "b")
	f, _ := newFleet(t, 0)
	f.Set([]Entry{entryFor("x", dirs[0])})
	old := acquire(t, f, "x")
	defer old.Release()
	f.Set([]Entry{entryFor("x", dirs[1])})
	between := acquire(t, f, "x")
	defer between.Release()
	if between.Bridge != old.Bridge {
		t.Error("the old bridge is gone before the new one is open")
	}
	if failed := f.Refresh(t.Context()); len(failed) > 0 {
		t.Fatal(failed)
	}
	now := acquire(t, f, "x")
	defer now.Release()
	if now.Dir != dirs[1] {
		t.Errorf("x is %s, want %s", now.Dir, dirs[1])
	}
}

// Who waits for a bridge to be opened must not wait beyond the end of the request; the bridge is there
// for the next one.
func TestARequestDoesNotOutliveItsContext(t *testing.T) {
	f, _ := newFleet(t, 0)
	f.Set([]Entry{entryFor("a", "kit:stage2")})
	ctx, cancel := context.WithCancel(t.Context())
	f.opening <- struct{}{} // another bridge is being opened
	ended := make(chan error)
	go func() {
		_, err := f.Acquire(ctx, "a")
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	f.endOpening()
	if _, err := f.Acquire(ctx, "a"); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	acquire(t, f, "a").Release()
}
