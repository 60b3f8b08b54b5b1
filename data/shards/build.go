package shards

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/writable"
)

// Options says how a source is opened. The zero value is ready to use.
type Options struct {
	// CacheDir is where the index is kept if it cannot be written beside the shards. If it is
	// empty, that is an error.
	CacheDir string
	// Progress, if non-nil, is called during a scan with the bytes of the shards that are done,
	// and with those of all shards.
	Progress func(done, total int64)
}

// indexPaths returns the paths that the index of some shards may have: beside the first shard,
// and in the cache folder.
func indexPaths(files []string, cache string) (paths []string, err error) {
	dir := filepath.Dir(files[0])
	var beside, absolute strings.Builder
	for _, f := range files {
		abs, err := filepath.Abs(f)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&beside, "%s\x00", nameIn(dir, f))
		fmt.Fprintf(&absolute, "%s\x00", abs)
	}
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:8])
	}
	paths = append(paths, filepath.Join(dir, ".bridge-"+hash(beside.String())+".index"))
	if cache != "" {
		paths = append(paths, filepath.Join(cache, "shards", hash(absolute.String())+".index"))
	}
	return paths, nil
}

// nameIn returns the name of a shard in an index beside the first shard: the path from there, so
// that a folder can be moved.
func nameIn(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil {
		return filepath.ToSlash(rel)
	}
	return file
}

// plan says where each shard of a source comes from when an index is built.
type plan struct {
	files []string
	names []string
	infos []os.FileInfo
	old   *index   // may be nil
	from  []*shard // of old; nil for a shard that must be scanned
	fresh bool     // old is right as it is
}

// planFor compares shards with an index. It opens the shards whose size or time differ and
// checks some of their samples.
func planFor(files []string, infos []os.FileInfo, old *index) *plan {
	p := &plan{files: files, infos: infos, old: old, from: make([]*shard, len(files))}
	dir := filepath.Dir(files[0])
	known := map[string]*shard{}
	if old != nil {
		for i := range old.shards {
			known[old.shards[i].Name] = &old.shards[i]
		}
		p.fresh = len(old.shards) == len(files)
	}
	for i, file := range files {
		p.names = append(p.names, nameIn(dir, file))
		s := known[p.names[i]]
		if s == nil {
			p.fresh = false
			continue
		}
		p.fresh = p.fresh && old.shards[i].Name == p.names[i]
		if s.Size == infos[i].Size() && s.Time == infos[i].ModTime().UnixNano() {
			p.from[i] = s
			continue
		}
		p.fresh = false
		if sampled, ok := fits(file, old, s); ok {
			moved := *s
			moved.Bytes = sampled
			moved.Size, moved.Time = infos[i].Size(), infos[i].ModTime().UnixNano()
			p.from[i] = &moved
		}
	}
	return p
}

// verified is how many samples of a shard are checked if its size or time differs.
const verified = 16

// fits reports whether some samples of a shard, the first and the last among them, are where an
// index says, and whether the shard ends behind the last. It returns the digest of sampled bytes.
func fits(path string, x *index, s *shard) (sampled string, ok bool) {
	f, info, err := openShard(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if !samplesFit(f, info.Size(), x, s) {
		return "", false
	}
	sampled, err = sampledDigest(f, info.Size())
	return sampled, err == nil
}

// samplesFit is fits for a shard of a size that is open.
func samplesFit(f io.ReaderAt, size int64, x *index, s *shard) bool {
	for k := range min(verified, s.Samples) {
		i := k
		if s.Samples > verified {
			i = k * (s.Samples - 1) / (verified - 1)
		}
		e := x.entry(s, i)
		if int64(e.begin) > size {
			return false
		}
		samples := sampler{walk: newWalker(f, int64(e.begin), size)}
		found, err := samples.next()
		if err != nil || entryOf(&found) != e {
			return false
		}
		if i == s.Samples-1 {
			_, err := samples.next()
			return errors.Is(err, io.EOF)
		}
	}
	return false // it had no sample
}

// build writes an index: it scans the shards that the plan has no entries for. It keeps a few
// shards in memory at a time.
func (p *plan) build(ctx context.Context, path string, progress func(done, total int64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := p.scanAll(ctx)
	var total, done int64
	for _, info := range p.infos {
		total += info.Size()
	}
	var failed error // of a shard, which the error of the index file would hide
	err := atomicfile.Write(path, func(out io.Writer) error {
		w, err := newIndexWriter(out)
		if err != nil {
			return err
		}
		for i := range p.files {
			var r result
			select {
			case r = <-results[i]:
			case <-ctx.Done():
				r.err = ctx.Err()
			}
			if failed = r.err; failed != nil {
				return failed
			}
			if err := w.add(r.shard, r.entries); err != nil {
				return err
			}
			done += p.infos[i].Size()
			if progress != nil {
				progress(done, total)
			}
		}
		return w.finish()
	})
	if failed != nil {
		return failed
	}
	return err
}

// result is that of one shard.
type result struct {
	scanned
	err error
}

// scanAll returns a channel for the result of each shard. Several are scanned at once, and no
// more than that are waiting.
func (p *plan) scanAll(ctx context.Context) []chan result {
	results := make([]chan result, len(p.files))
	for i := range results {
		results[i] = make(chan result)
	}
	var mu sync.Mutex
	next := 0
	for range min(len(p.files), max(2, min(8, runtime.GOMAXPROCS(0)))) {
		go func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(p.files) {
					return
				}
				select {
				case results[i] <- p.result(ctx, i):
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	return results
}

// result returns the entries of a shard, from the old index or by a scan.
func (p *plan) result(ctx context.Context, i int) result {
	if s := p.from[i]; s != nil {
		reused := *s
		reused.Name = p.names[i]
		return result{scanned: scanned{shard: reused, entries: p.old.entries(s)}}
	}
	s, err := scan(ctx, p.files[i], p.names[i])
	return result{s, err}
}

// indexOf returns the index of some shards, which it builds unless there is one that fits.
func indexOf(ctx context.Context, files []string, o Options) (*index, error) {
	infos, err := statAll(files)
	if err != nil {
		return nil, err
	}
	paths, err := indexPaths(files, o.CacheDir)
	if err != nil {
		return nil, err
	}
	p, err := bestPlan(files, infos, paths)
	if err != nil {
		return nil, err
	}
	if p.fresh {
		return p.old, nil
	}
	path, err := p.write(ctx, paths, o.Progress)
	if closeErr := p.old.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	x, err := openIndex(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "the index %s was just written, and cannot be read: %w", path, err)
	}
	return x, nil
}

// bestPlan returns the plan of the first index that is right as it is, or else of the first that can
// be read. One that is damaged or of another version is built again. An old index beside shards in a
// folder that cannot be written any more does not hide that of the cache.
func bestPlan(files []string, infos []os.FileInfo, paths []string) (best *plan, err error) {
	for _, path := range paths {
		x, openErr := openIndex(path)
		if openErr != nil {
			continue
		}
		p, unused := planFor(files, infos, x), x
		switch {
		case best == nil:
			best, unused = p, nil
		case p.fresh:
			best, unused = p, best.old
		}
		if err := unused.close(); err != nil {
			return nil, err
		}
		if best.fresh {
			return best, nil
		}
	}
	if best == nil {
		best = planFor(files, infos, nil)
	}
	return best, nil
}

// write builds the index at the first path that can be written, and returns that path.
func (p *plan) write(ctx context.Context, paths []string, progress func(done, total int64)) (string, error) {
	var refused error
	for i, path := range paths {
		if i > 0 {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return "", writable.Explain(err, filepath.Dir(path), "BRIDGE_CACHE")
			}
		}
		if refused = writable.Check(filepath.Dir(path)); refused != nil {
			continue
		}
		err := p.build(ctx, path, progress)
		if err == nil || !writable.Refused(err) || i == len(paths)-1 {
			return path, err
		}
		refused = err
	}
	return "", writable.Explain(refused, filepath.Dir(paths[len(paths)-1]), "BRIDGE_CACHE")
}

// statAll returns the sizes and times of the shards. It names the first that is missing.
func statAll(files []string) ([]os.FileInfo, error) {
	infos := make([]os.FileInfo, len(files))
	for i, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return nil, adapters.Errorf(adapters.NotFound, "shard: %w", err).
				WithRemedy("restore it, or name the shards that exist")
		}
		infos[i] = info
	}
	return infos, nil
}
