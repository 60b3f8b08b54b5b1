package workspace

import (
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/modular-bridging/bridge/adapters"
)

// Relocations are the new paths of folders and files that a run recorded under other paths. The zero value has none.
type Relocations struct{ pairs []relocation }

// relocation is a pair of absolute paths. to may also be the name of a plugin.
type relocation struct {
	from, to string
	pair     string       // as it was given
	used     *atomic.Bool // a path was resolved with it
}

// ParseRelocations parses pairs OLD=NEW. Both are paths, absolute or relative to the working
// folder. NEW may also be the name of a plugin.
func ParseRelocations(pairs []string) (Relocations, error) {
	var all Relocations
	for _, pair := range pairs {
		from, to, ok := strings.Cut(pair, "=")
		if !ok || from == "" || to == "" {
			return Relocations{}, adapters.Errorf(adapters.Invalid, "got %q, want OLD=NEW", pair)
		}
		from, err := filepath.Abs(from) // the paths that are read from runs are absolute too
		if err != nil {
			return Relocations{}, err
		}
		if strings.ContainsAny(to, `/\`) || isDir(to) {
			if to, err = filepath.Abs(to); err != nil {
				return Relocations{}, err
			}
		}
		all.pairs = append(all.pairs, relocation{from, to, pair, new(atomic.Bool)})
	}
	return all, nil
}

// resolve returns the current path for a recorded path.
func (r Relocations) resolve(path string) string {
	for _, pair := range r.pairs {
		below, err := filepath.Rel(pair.from, path)
		if !filepath.IsAbs(path) || err != nil || !filepath.IsLocal(below) {
			continue
		}
		pair.used.Store(true)
		if below == "." {
			return pair.to
		}
		return filepath.Join(pair.to, below)
	}
	return path
}

// Unused returns the pairs OLD=NEW that no path was resolved with, as they were given.
func (r Relocations) Unused() (pairs []string) {
	for _, pair := range r.pairs {
		if !pair.used.Load() {
			pairs = append(pairs, pair.pair)
		}
	}
	return pairs
}

// Moved returns the current path for the recorded path of a file or folder of data. It is
// absolute if the recorded path is.
func (w *Workspace) Moved(path string) string {
	now := w.options.Relocations.resolve(path)
	if now == path {
		return path
	}
	if abs, err := filepath.Abs(now); err == nil {
		return abs
	}
	return now
}
