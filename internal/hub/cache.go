package hub

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

func repositoryDir(cache, repository string) string {
	return filepath.Join(cache, "models--"+strings.ReplaceAll(repository, "/", "--"))
}

func (c *Client) blobPath(repository, checksum string) string {
	return filepath.Join(repositoryDir(c.Cache, repository), "blobs", checksum)
}

func lockPath(cache, repository, checksum string) string {
	return filepath.Join(cache, ".locks", filepath.Base(repositoryDir(cache, repository)), checksum+".lock")
}

// Find returns the snapshot of a repository's revision in a cache, if accept returns true for it.
// For main, it also tries pull requests, which are fetched if main has no safetensors.
func Find(cache, repository, revision string, accept func(dir string) bool) (dir, commit string, ok bool) {
	if cache == "" || repository == "" {
		return "", "", false
	}
	if revision == "" {
		revision = Main
	}
	root := repositoryDir(cache, repository)
	refs := []string{filepath.Join(root, "refs", filepath.FromSlash(revision))}
	if revision == Main {
		if pulls, err := filepath.Glob(filepath.Join(root, "refs", "refs", "pr", "*")); err == nil {
			refs = append(refs, pulls...)
		}
	}
	for _, ref := range refs {
		commit = revision
		if data, err := os.ReadFile(ref); err == nil {
			commit = strings.TrimSpace(string(data))
		}
		commit = filepath.Base(commit)
		if dir = filepath.Join(root, "snapshots", commit); accept(dir) {
			return dir, commit, true
		}
	}
	return "", "", false
}

// IsModel reports whether a folder has config.json and all weights: every shard in the index, or
// a weights file in any format.
func IsModel(dir string) bool {
	if !exists(filepath.Join(dir, "config.json")) {
		return false
	}
	if data, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json")); err == nil {
		var index struct {
			WeightMap map[string]string `json:"weight_map"`
		}
		if json.Unmarshal(data, &index) != nil { // opening the model reports the error
			return true
		}
		for _, shard := range index.WeightMap {
			if !exists(filepath.Join(dir, filepath.Base(shard))) {
				return false
			}
		}
		return true
	}
	return Holds(dir, "*.safetensors", "*.bin", "*.pth", "*.pt")
}

// Holds reports whether a folder has a file that matches any of the patterns.
func Holds(dir string, patterns ...string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		for _, pattern := range patterns {
			if ok, err := path.Match(pattern, e.Name()); ok && err == nil {
				return true
			}
		}
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Checked is a file whose checksum [Verify] computed.
type Checked struct {
	Path string
	Size int64
	Want string // checksum in the name of its blob; empty if there is none
	Got  string // checksum of the content, of the same kind as Want; SHA-256 if Want is empty
}

// OK reports whether the content has the expected checksum.
func (c Checked) OK() bool { return c.Want == "" || c.Want == c.Got }

// Verify hashes every file of a folder. In a snapshot of the cache, the names of the blobs are the
// expected checksums.
func Verify(ctx context.Context, dir string, progress func(path string)) ([]Checked, error) {
	var all []Checked
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if progress != nil {
			progress(path)
		}
		c, err := check(path)
		if c.Path, _ = filepath.Rel(dir, path); err == nil {
			all = append(all, c)
		}
		return err
	})
	return all, err
}

func check(path string) (Checked, error) {
	var c Checked
	if target, err := os.Readlink(path); err == nil && checksumPattern.MatchString(filepath.Base(target)) {
		c.Want = filepath.Base(target)
	}
	f, err := os.Open(path)
	if err != nil {
		return c, adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", path, err).WithRemedy("pull again")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return c, err
	}
	c.Size = info.Size()
	sum := c.Want
	if sum == "" {
		sum = strings.Repeat("0", 64)
	}
	h := digest(sum, c.Size)
	if _, err := io.Copy(h, f); err != nil {
		return c, err
	}
	c.Got = hex.EncodeToString(h.Sum(nil))
	return c, nil
}

// Forget deletes the blob of a damaged file in a snapshot, so that the next pull fetches it again.
func Forget(dir string, damaged Checked) error {
	blob, err := filepath.EvalSymlinks(filepath.Join(dir, damaged.Path))
	if err != nil {
		return err
	}
	return os.Remove(blob)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return explainDiskFull(err)
	}
	return out.Close()
}
