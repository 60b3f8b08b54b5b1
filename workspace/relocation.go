package workspace

import (
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// Relocations are folders and files that lie elsewhere than a run recorded.
type Relocations []relocation

// relocation is a pair of paths: absolute, except that to may be the name of a plugin.
type relocation struct{ from, to string }

// ParseRelocations reads pairs OLD=NEW. Both are paths, absolute or from the working
// folder; NEW may also be the name of a plugin.
func ParseRelocations(pairs []string) (Relocations, error) {
	var all Relocations
	for _, pair := range pairs {
		from, to, ok := strings.Cut(pair, "=")
		if !ok || from == "" || to == "" {
			return nil, adapters.Errorf(adapters.Invalid, "%q is no relocation, want OLD=NEW", pair)
		}
		from, err := filepath.Abs(from) // runs are read likewise: their relative paths become absolute
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(to, `/\`) || isDir(to) {
			if to, err = filepath.Abs(to); err != nil {
				return nil, err
			}
		}
		all = append(all, relocation{from, to})
	}
	return all, nil
}

// resolve returns where a recorded path is now.
func (r Relocations) resolve(path string) string {
	for _, pair := range r {
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
