package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// keepDigests lets the test keep the digests of files that have just changed, in a new folder.
func keepDigests(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	before := settled
	settled = -time.Second
	t.Cleanup(func() { settled = before })
}

func digestOfFile(t *testing.T, path string) string {
	t.Helper()
	got, err := FileDigest(path)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// edit changes a byte of a file in place, or in a new file of the same name, and sets the old
// time, as touch -r and cp -p do.
func edit(t *testing.T, path string, inPlace bool) (want string) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)-1]++
	for { // until the clock of the file system has ticked
		target := path
		if !inPlace {
			target += ".new"
		}
		must(t, os.WriteFile(target, data, 0o644))
		must(t, os.Chtimes(target, info.ModTime(), info.ModTime()))
		must(t, os.Rename(target, path))
		now, err := os.Stat(path)
		must(t, err)
		if a, b := stampOf(info), stampOf(now); a != b || a.Changed == 0 {
			break
		}
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// A digest is of the content, whatever times a file has.
func TestEditsWithTheOldTimeAreNoticed(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "large": minCached} {
		for _, inPlace := range []bool{true, false} {
			keepDigests(t)
			path := filepath.Join(t.TempDir(), name)
			must(t, os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o644))
			for range 3 {
				first := digestOfFile(t, path)
				want := edit(t, path, inPlace)
				if got := digestOfFile(t, path); got != want || got == first {
					t.Errorf("%s, in place %v: the digest is %s, want %s; it was %s", name, inPlace, got, want, first)
				}
			}
		}
	}
	keepDigests(t)
	dir := small(t)
	folder := func() string {
		t.Helper()
		got, err := mustOpen(t, dir).Digest()
		must(t, err)
		return got
	}
	first := folder()
	if want := edit(t, filepath.Join(dir, weightsFile), true); folder() != want || want == first {
		t.Errorf("the digest of the weights is %s, want %s", folder(), want)
	}
}

// The digest of a large file is kept, unless the file has only just changed.
func TestDigestsOfLargeFilesAreKept(t *testing.T) {
	for name, c := range map[string]struct {
		size    int
		settled time.Duration
		kept    bool
	}{"large": {minCached, -time.Second, true}, "small": {minCached - 1, -time.Second, false}, "just changed": {minCached, time.Hour, false}} {
		keepDigests(t)
		settled = c.settled
		path := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(path, make([]byte, c.size), 0o644))
		right := digestOfFile(t, path)
		record := readDigestRecord(digestRecordPath(path))
		if (record.Digest == right) != c.kept || (record.Digest == "") == c.kept {
			t.Errorf("%s: the kept record is %+v", name, record)
		}
		record.Digest = "sha256:kept"
		writeDigestRecord(digestRecordPath(path), record)
		if got := digestOfFile(t, path); (got == "sha256:kept") != c.kept {
			t.Errorf("%s: the digest is %s, want the kept one: %v", name, got, c.kept)
		}
	}
}

// A record of an older version has no time of the change. It is not used.
func TestOldDigestRecordsAreNotUsed(t *testing.T) {
	keepDigests(t)
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, make([]byte, minCached), 0o644))
	right := digestOfFile(t, path)
	info, err := os.Stat(path)
	must(t, err)
	old, err := json.Marshal(map[string]any{"path": path, "size": info.Size(), "modified": info.ModTime().UnixNano(), "digest": "sha256:old"})
	must(t, err)
	must(t, os.WriteFile(digestRecordPath(path), old, 0o644))
	if got := digestOfFile(t, path); got != right {
		t.Errorf("the digest is %s, want %s", got, right)
	}
}
