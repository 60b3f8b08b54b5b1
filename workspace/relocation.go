package workspace

import (
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// Relocations are the new paths of folders and files that a run recorded under other paths. The zero value has none.
type Relocations struct{ pairs []relocation }

// relocation is a pair of absolute paths. to may also be the name of a plugin.
type relocation struct{ from, to string }

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
		all.pairs = append(all.pairs, relocation{from, to})
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
		if below == "." {
			return pair.to
		}
		return filepath.Join(pair.to, below)
	}
	return path
}
