package shards

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// indexFile returns the path of the index beside the shards.
func indexFile(t *testing.T, paths ...string) string {
	t.Helper()
	all, err := indexPaths(paths, "")
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// scans opens shards and returns the bytes that were scanned of how many; 0 if the index was taken
// as it is.
func scans(t *testing.T, cache string, paths ...string) (r *Reader, calls int) {
	t.Helper()
	r, err := Open(t.Context(), paths, Options{CacheDir: cache, Progress: func(done, total int64) {
		if done > total || done == 0 {
			t.Errorf("progress %d of %d", done, total)
		}
		calls++
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, calls
}

func TestIndexIsMadeOnceAndMovesWithTheShards(t *testing.T) {
	paths := copied(t, "plain-000000.tar", "plain-000001.tar", "plain-000002.tar")
	first, calls := scans(t, "", paths...)
	if calls != 3 {
		t.Errorf("%d calls of Progress, want one for each shard", calls)
	}
	if _, calls := scans(t, "", paths...); calls != 0 {
		t.Error("the index is not used")
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(filepath.Dir(paths[0]), moved); err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		paths[i] = filepath.Join(moved, filepath.Base(path))
	}
	again, calls := scans(t, "", paths...)
	if calls != 0 || again.Digest() != first.Digest() || again.Len() != 8 {
		t.Errorf("after the folder has moved: %d shards scanned, %d samples, digest %s, want %s", calls, again.Len(), again.Digest(), first.Digest())
	}
	info, err := os.Stat(indexFile(t, paths...))
	if err != nil || info.Size() > 64*8+3*300 {
		t.Errorf("the index has %v bytes (%v)", info, err)
	}
}

// Another time makes the reader check samples; it scans a shard again only if they do not fit, and
// never refuses.
func TestIndexIsCheckedIfAShardHasAnotherTime(t *testing.T) {
	paths := copied(t, "plain-000000.tar", "plain-000001.tar")
	first, _ := scans(t, "", paths...)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(paths[1], later, later); err != nil {
		t.Fatal(err)
	}
	old, err := openIndex(indexFile(t, paths...))
	if err != nil {
		t.Fatal(err)
	}
	infos, err := statAll(paths)
	if err != nil {
		t.Fatal(err)
	}
	if p := planFor(paths, infos, old); p.fresh || p.from[0] == nil || p.from[1] == nil {
		t.Errorf("a shard that was touched: %+v, want its entries kept", p)
	}
	if again, _ := scans(t, "", paths...); again.Digest() != first.Digest() {
		t.Error("a shard that was touched has another digest")
	}
	if _, calls := scans(t, "", paths...); calls != 0 {
		t.Error("the new time was not kept")
	}
	data, err := os.ReadFile(filepath.Join("testdata", "plain-000002.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths[1], data, 0o644); err != nil { // 2 other samples, in a file of equal size
		t.Fatal(err)
	}
	if err := os.Chtimes(paths[1], later, later.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	changed, _ := scans(t, "", paths...)
	rec, err := changed.Record(3)
	if err != nil || changed.Len() != 5 || rec.Key != "part/0006" || changed.Digest() == first.Digest() {
		t.Errorf("a shard that was replaced: %d samples, the fourth %q (%v)", changed.Len(), rec.Key, err)
	}
}

// A shard of the same layout with other keys is scanned again; one with the same keys and other
// bytes is not, and has another digest.
func TestShardsOfTheSameLayout(t *testing.T) {
	path := file(t, "0.tar", pack(t, item{"a.txt", "x"}, item{"b.txt", "y"}))
	first, _ := scans(t, "", path)
	replace := func(items ...item) *Reader {
		t.Helper()
		if err := os.WriteFile(path, pack(t, items...), 0o644); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
		r, _ := scans(t, "", path)
		return r
	}
	other := replace(item{"c.txt", "x"}, item{"d.txt", "y"})
	if rec, err := other.Record(1); err != nil || rec.Key != "d" || other.Digest() == first.Digest() {
		t.Errorf("other keys: %q (%v)", rec.Key, err)
	}
	if err := os.Remove(indexFile(t, path)); err != nil {
		t.Fatal(err)
	}
	if again := replace(item{"a.txt", "x"}, item{"b.txt", "y"}); again.Digest() != first.Digest() {
		t.Error("the same bytes have another digest")
	}
	if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	scans(t, "", path)
	if words := replace(item{"a.txt", "z"}, item{"b.txt", "y"}); words.Digest() == first.Digest() {
		t.Error("other texts have the same digest")
	}
}

func TestSamplesThatWereAppendedAreFound(t *testing.T) {
	path := file(t, "0.tar", pack(t, item{"a.txt", "x"}))
	scans(t, "", path)
	if err := os.WriteFile(path, pack(t, item{"a.txt", "x"}, item{"b.txt", "y"}), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, _ := scans(t, "", path); r.Len() != 2 {
		t.Errorf("%d samples, want 2", r.Len())
	}
}

// A damaged index, one of another version, and one of other shards are made again.
func TestIndexOfAnotherFileIsMadeAgain(t *testing.T) {
	paths := copied(t, "plain-000000.tar", "plain-000001.tar")
	other := copied(t, "captions.tar")
	scans(t, "", paths...)
	scans(t, "", other...)
	index := indexFile(t, paths...)
	good, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(indexFile(t, other...))
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), good...)
	flipped[len(magic)+3] ^= 1
	swapped := []byte(strings.Replace(string(good), "shards 1", "shards 9", 2))
	for name, data := range map[string][]byte{"other shards": foreign, "a flipped bit": flipped, "cut off": good[:len(good)-9], "empty": nil, "another version": swapped, "text": []byte("hello")} {
		if err := os.WriteFile(index, data, 0o644); err != nil {
			t.Fatal(err)
		}
		r, calls := scans(t, "", paths...)
		if rec, err := r.Record(5); calls != 2 || r.Len() != 6 || err != nil || rec.Key != "part/0005" {
			t.Errorf("%s: %d calls, %d samples, the last %q (%v)", name, calls, r.Len(), rec.Key, err)
		}
	}
}

// A path that the system refuses to write to for any user stands for a folder that cannot be
// written.
func TestIndexFallsBackToTheCache(t *testing.T) {
	paths := copied(t, "plain-000000.tar")
	infos, err := statAll(paths)
	if err != nil {
		t.Fatal(err)
	}
	p := planFor(paths, infos, nil)
	blocked := filepath.Join(paths[0], "index") // below a file
	cache := filepath.Join(t.TempDir(), "cache", "x.index")
	got, err := p.write(t.Context(), []string{blocked, cache}, nil)
	if err != nil || got != cache {
		t.Fatalf("written to %q (%v), want %q", got, err, cache)
	}
	x, err := openIndex(cache)
	if err != nil || len(x.shards) != 1 || x.shards[0].Samples != 3 || x.close() != nil {
		t.Errorf("the index in the cache: %+v (%v)", x, err)
	}
	if _, err := p.write(t.Context(), []string{blocked}, nil); err == nil || !strings.Contains(err.Error(), "BRIDGE_CACHE") {
		t.Errorf("without a cache: %v", err)
	}
}

// An old index beside the shards, in a folder that cannot be written any more, does not hide the one
// in the cache.
func TestIndexInTheCacheCountsIfTheOneBesideIsOld(t *testing.T) {
	paths := copied(t, "plain-000000.tar")
	scans(t, "", paths...)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(paths[0], later, later); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	all, err := indexPaths(paths, cache)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := statAll(paths)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(all[1]), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := planFor(paths, infos, nil).build(t.Context(), all[1], nil); err != nil {
		t.Fatal(err)
	}
	if r, calls := scans(t, cache, paths...); calls != 0 || r.Len() != 3 {
		t.Errorf("%d calls, %d samples; want the index of the cache", calls, r.Len())
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	paths := copied(t, "plain-000000.tar", "plain-000001.tar")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, paths, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the scan was cancelled", err)
	}
	if _, err := os.Stat(indexFile(t, paths...)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an index of a part of the shards was left: %v", err)
	}
}
