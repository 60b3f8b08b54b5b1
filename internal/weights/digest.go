package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/dirhash"
)

// Digest returns the digest of the weights, "sha256:…": of the only weight file, or of the list of
// the shards' names and digests ("name sha256:…\n", sorted by name). Because hashing a large file
// takes time, digests are kept in the user's cache folder, by path, size and modification time.
func (f *Folder) Digest() (string, error) {
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
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds
	Digest   string `json:"digest"`
}

func (f *file) digest() (string, error) {
	return cachedDigest(f.path, f.size, f.modified, func() (string, error) {
		sum := sha256.New()
		for part := range slices.Chunk(f.data, 16<<20) {
			sum.Write(part)
			release(part)
		}
		return hex.EncodeToString(sum.Sum(nil)), nil
	})
}

// FileDigest returns the digest of any file, "sha256:…". It is cached like the digests of weights.
func FileDigest(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", path, err)
	}
	return cachedDigest(path, info.Size(), info.ModTime().UnixNano(), func() (string, error) {
		digest, err := dirhash.FileSHA256(path)
		if err != nil {
			return "", adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", path, err)
		}
		return digest, nil
	})
}

// cachedDigest returns a file's digest from the cache, or computes and caches it.
func cachedDigest(path string, size, modified int64, sum func() (string, error)) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", adapters.Errorf(adapters.Internal, "digest of %s: %w", path, err)
	}
	want := digestRecord{Path: path, Size: size, Modified: modified}
	cache := digestRecordPath(path)
	if got := readDigestRecord(cache); got.Digest != "" {
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
	writeDigestRecord(cache, want)
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
