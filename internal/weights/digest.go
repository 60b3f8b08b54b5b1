package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/dirhash"
)

// Digest returns the digest of the weights, "sha256:…": of the only weight file, or of the list of
// the shards' names and digests ("name sha256:…\n", sorted by name). Because hashing a large file
// takes time, its digest is kept in the user's cache folder, see [FileDigest].
func (f *Folder) Digest() (string, error) {
	if f.random != nil {
		return f.random.digest(f.config), nil
	}
	list := sha256.New()
	var digest string
	for _, file := range f.files {
		var err error
		if digest, err = file.digest(); err != nil {
			return "", err
		}
		io.WriteString(list, filepath.Base(file.path)+" "+digest+"\n")
	}
	if len(f.files) == 1 {
		return digest, nil
	}
	return "sha256:" + hex.EncodeToString(list.Sum(nil)), nil
}

// digestRecord is the cached digest of one file.
type digestRecord struct {
	Path string `json:"path"`
	stamp
	Digest string `json:"digest"`
}

// stamp tells whether a file is the one that was hashed. A program can set the modification time
// back after an edit (cp -p, touch -r, rsync -t), but the system sets the time of the change.
type stamp struct {
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds
	Changed  int64  `json:"changed"`  // nanoseconds; of the content or of the entry (ctime)
	Inode    uint64 `json:"inode"`
}

// minCached is the size of the smallest file whose digest is kept. Hashing a smaller one takes a
// few milliseconds.
const minCached = 1 << 20

// settled is how long ago a file must have changed for its digest to be kept. Within the
// resolution of the file system's clock, a second change has the same stamp. Tests shorten it.
var settled = 2 * time.Second

// keeps reports whether a digest can be found again by the stamp at a time.
func (s stamp) keeps(now time.Time) bool {
	return s.Changed != 0 && s.Size >= minCached && now.Sub(time.Unix(0, s.Changed)) > settled
}

func (f *file) digest() (string, error) {
	return cachedDigest(f.path, f.stamp, func() (string, error) {
		sum := sha256.New()
		for part := range slices.Chunk(f.data, 16<<20) {
			sum.Write(part)
			release(part)
		}
		return hex.EncodeToString(sum.Sum(nil)), nil
	})
}

// FileDigest returns the digest of any file, "sha256:…". The digest of a large file is kept in the
// user's cache folder, by path, size, inode and the times of the last modification and of the last
// change. On systems that do not report the last one, FileDigest hashes the file each time.
func FileDigest(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", path, err)
	}
	return cachedDigest(path, stampOf(info), func() (string, error) {
		digest, err := dirhash.FileSHA256(path)
		if err != nil {
			return "", adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", path, err)
		}
		return digest, nil
	})
}

// cachedDigest returns a file's digest from the cache, or computes and caches it.
func cachedDigest(path string, now stamp, sum func() (string, error)) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", adapters.Errorf(adapters.Internal, "digest of %s: %w", path, err)
	}
	want := digestRecord{Path: path, stamp: now}
	cache, keeps := digestRecordPath(path), now.keeps(time.Now())
	if got := readDigestRecord(cache); keeps && got.Digest != "" {
		want.Digest = got.Digest
		if got == want {
			return got.Digest, nil
		}
	}
	digest, err := sum()
	if err != nil {
		return "", err
	}
	want.Digest = "sha256:" + digest
	if info, err := os.Stat(path); keeps && err == nil && stampOf(info) == now { // not changed while it was hashed
		writeDigestRecord(cache, want)
	}
	return want.Digest, nil
}

// digestRecordPath returns the path of a file's cached digest, or "" if the user has no cache
// folder.
func digestRecordPath(path string) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	key := sha256.Sum256([]byte(path))
	return filepath.Join(dir, "bridge", "digests", hex.EncodeToString(key[:16])+".json")
}

func readDigestRecord(cache string) (s digestRecord) {
	if data, err := os.ReadFile(cache); err == nil && json.Unmarshal(data, &s) != nil {
		return digestRecord{}
	}
	return s
}

// writeDigestRecord writes a cached digest. It ignores errors, because without a cached digest the
// digest is computed again.
func writeDigestRecord(cache string, s digestRecord) {
	if cache == "" || os.MkdirAll(filepath.Dir(cache), 0o755) != nil {
		return
	}
	data, err := json.Marshal(s)
	if err != nil {
		return
	}
	_ = atomicfile.WriteBytes(cache, data)
}
