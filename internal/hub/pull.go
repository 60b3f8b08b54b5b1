package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/writable"
)

// Request selects the files to fetch.
type Request struct {
	Repository string   // "owner/name"
	Revision   string   // empty: main
	Patterns   []string // patterns of the paths to fetch
	// Planned, if not nil, is called before files are fetched.
	Planned func(Plan)
	// Progress, if not nil, is called with the number of bytes that are present. Calls come from
	// several goroutines, but not at the same time.
	Progress func(done, total int64)
}

// Plan describes a pull before it starts.
type Plan struct {
	Listing
	Files   []File
	Total   int64 // bytes of all files
	Missing int64 // bytes that are not in the cache
}

// Snapshot is a repository's files in the cache.
type Snapshot struct {
	Dir      string
	Revision string // the requested one, or the pull request with its safetensors
	Commit   string
	Files    []File
}

// Pull fetches the matching files of a repository and returns their folder. The cache has the
// revision's name only after all files are present.
func (c *Client) Pull(ctx context.Context, r Request) (Snapshot, error) {
	if r.Revision == "" {
		r.Revision = Main
	}
	if c.Offline {
		return c.offline(r)
	}
	if c.Cache == "" {
		return Snapshot{}, adapters.Errorf(adapters.Unsupported, "no folder for downloads").WithRemedy("set HF_HOME to a folder")
	}
	plan, err := c.plan(ctx, r)
	if err != nil {
		return Snapshot{}, err
	}
	if r.Planned != nil {
		r.Planned(plan)
	}
	if err := c.checkDiskSpace(plan); err != nil {
		return Snapshot{}, err
	}
	if err := c.fetchAll(ctx, plan, r.Progress); err != nil {
		return Snapshot{}, err
	}
	return c.publish(plan)
}

// offline returns the snapshot of a revision in the cache.
func (c *Client) offline(r Request) (Snapshot, error) {
	accept := IsModel
	if !wantWeights(r.Patterns) {
		accept = func(dir string) bool { return Holds(dir, r.Patterns...) }
	}
	dir, commit, ok := Find(c.Cache, r.Repository, r.Revision, accept)
	if !ok {
		return Snapshot{}, adapters.Errorf(adapters.NotFound, "%s is not in the cache %s, and HF_HUB_OFFLINE is set", r.Repository, c.Cache).
			WithRemedy("unset HF_HUB_OFFLINE, or fetch it on another machine and record its folder with `bridge models add`")
	}
	return Snapshot{Dir: dir, Revision: r.Revision, Commit: commit}, nil
}

// plan lists the files. For a revision without safetensors it uses the pull request of the hub's
// conversion service.
func (c *Client) plan(ctx context.Context, r Request) (Plan, error) {
	listing, err := c.List(ctx, r.Repository, r.Revision)
	if err != nil {
		return Plan{}, err
	}
	paths := listing.Matching(r.Patterns)
	if wantWeights(r.Patterns) && !slices.ContainsFunc(paths, isWeights) {
		if listing, err = c.converted(ctx, listing); err != nil {
			return Plan{}, err
		}
		paths = listing.Matching(r.Patterns)
	}
	if len(paths) == 0 {
		return Plan{}, adapters.Errorf(adapters.NotFound, "%s at %s has no file that matches %s",
			r.Repository, r.Revision, strings.Join(r.Patterns, ", "))
	}
	return c.statAll(ctx, listing, paths)
}

func isWeights(path string) bool         { return strings.HasSuffix(path, ".safetensors") }
func wantWeights(patterns []string) bool { return slices.ContainsFunc(patterns, isWeights) }

// converted returns the listing of the pull request with a repository's weights as safetensors.
func (c *Client) converted(ctx context.Context, l Listing) (Listing, error) {
	revision := ""
	if l.Revision == Main {
		var err error
		if revision, err = c.findConversion(ctx, l.Repository); err != nil {
			return l, err
		}
	}
	if revision != "" {
		return c.List(ctx, l.Repository, revision)
	}
	return l, adapters.Errorf(adapters.Unsupported, "%s at %s has no safetensors, and bridge downloads no other weights",
		l.Repository, l.Revision).
		WithRemedy("load it in transformers, save it with save_pretrained, and record that folder with `bridge models add ID --path DIR`; " +
			"or name a --revision with safetensors")
}

// statAll requests the size and checksum of each path.
func (c *Client) statAll(ctx context.Context, l Listing, paths []string) (Plan, error) {
	p := Plan{Listing: l, Files: make([]File, len(paths))}
	err := c.parallelDo(ctx, len(paths), func(ctx context.Context, i int) (err error) {
		p.Files[i], err = c.stat(ctx, l, paths[i])
		return err
	})
	if err != nil {
		return p, err
	}
	seen := map[string]bool{}
	for _, f := range p.Files {
		if seen[f.Checksum] {
			continue
		}
		seen[f.Checksum] = true
		p.Total += f.Size
		p.Missing += f.Size - min(f.Size, c.present(l.Repository, f))
	}
	return p, nil
}

// present returns the number of a file's bytes in the cache.
func (c *Client) present(repository string, f File) int64 {
	path := c.blobPath(repository, f.Checksum)
	for _, p := range []string{path, path + ".incomplete"} {
		if info, err := os.Stat(p); err == nil {
			return info.Size()
		}
	}
	return 0
}

// checkDiskSpace returns an error if the disk has not enough space for the missing bytes and a
// margin.
func (c *Client) checkDiskSpace(p Plan) error {
	if err := os.MkdirAll(c.Cache, 0o755); err != nil {
		return writable.Explain(err, c.Cache, "HF_HUB_CACHE")
	}
	if err := writable.Check(c.Cache); err != nil {
		return writable.Explain(err, c.Cache, "HF_HUB_CACHE")
	}
	free, err := c.free(c.Cache)
	if err != nil { // the system does not report free space; a full disk fails the write instead
		return nil
	}
	const spare = 64 << 20
	if p.Missing > 0 && p.Missing+spare > free {
		return adapters.Errorf(adapters.Exhausted, "%s needs %.1f GB more in %s, but the disk has %.1f GB left", p.Repository,
			float64(p.Missing)/1e9, c.Cache, float64(free)/1e9).WithRemedy("free disk space, or set HF_HUB_CACHE to a folder on another disk")
	}
	return nil
}

// fetchAll fetches the missing files of a plan.
func (c *Client) fetchAll(ctx context.Context, p Plan, progress func(done, total int64)) error {
	var mu sync.Mutex
	var done int64
	report := func(bytes int64) {
		mu.Lock()
		defer mu.Unlock()
		if done += bytes; progress != nil && bytes != 0 {
			progress(done, p.Total)
		}
	}
	var unique []File
	for _, f := range p.Files {
		if !slices.ContainsFunc(unique, func(u File) bool { return u.Checksum == f.Checksum }) {
			unique = append(unique, f)
		}
	}
	return c.parallelDo(ctx, len(unique), func(ctx context.Context, i int) error {
		b := blob{client: c, listing: p.Listing, file: unique[i], path: c.blobPath(p.Repository, unique[i].Checksum), progress: report}
		return b.fetch(ctx)
	})
}

// parallelDo calls f for 0 … n−1, c.parallel() at a time. The first error cancels the
// rest.
func (c *Client) parallelDo(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	slots := make(chan struct{}, c.parallel())
	for i := range n {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			defer func() { <-slots }()
			if err := f(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// publish links the files into the snapshot, then names it.
func (c *Client) publish(p Plan) (Snapshot, error) {
	s := Snapshot{Dir: filepath.Join(repositoryDir(c.Cache, p.Repository), "snapshots", p.Commit),
		Revision: p.Revision, Commit: p.Commit, Files: p.Files}
	for _, f := range p.Files {
		if err := link(c.blobPath(p.Repository, f.Checksum), filepath.Join(s.Dir, filepath.FromSlash(f.Path))); err != nil {
			return s, err
		}
	}
	if p.Revision == p.Commit {
		return s, nil
	}
	ref := filepath.Join(repositoryDir(c.Cache, p.Repository), "refs", filepath.FromSlash(p.Revision))
	if err := os.MkdirAll(filepath.Dir(ref), 0o755); err != nil {
		return s, err
	}
	return s, atomicfile.WriteBytes(ref, []byte(p.Commit))
}

// link makes path a relative link to a blob or, on a system without links, a copy of it. It
// replaces an existing file.
func link(blob, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(path), blob)
	if err != nil {
		return err
	}
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	fresh := path + "." + rand.Text() // another process may link the same file at the same time
	if err := os.Symlink(target, fresh); err != nil {
		if err := copyFile(blob, fresh); err != nil {
			return errors.Join(err, os.Remove(fresh))
		}
	}
	return os.Rename(fresh, path)
}
