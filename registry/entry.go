package registry

import (
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/store"
)

// Entry returns the lock entry of an open model. plugin is the path of the plugin
// behind it, empty for a built-in adapter.
func (b Backbone) Entry(spec adapters.Spec, plugin string) (lockfile.Entry, error) {
	e := lockfile.Entry{ID: b.ID, Source: string(b.Source), Digest: spec.Digest, Family: spec.Family, Plugin: plugin, Activation: b.Activation}
	if b.Commit != "" {
		e.Repository, e.Revision = b.Repository, b.Commit
	}
	var err error
	if e.Files, err = b.fileDigests(); err != nil || plugin == "" {
		return e, err
	}
	found, err := store.OpenPath(plugin)
	if err != nil {
		return e, err
	}
	now, err := found.Read()
	if err != nil {
		return e, err
	}
	e.SetPlugin(plugin, now)
	return e, nil
}

// fileDigests returns the digests of what a model needs of its folder; nil where
// it has none.
func (b Backbone) fileDigests() (map[string]string, error) {
	dir := b.Path
	if b.Source == FromKit && b.kit != nil {
		var err error
		if dir, err = b.kit(b.ID); err != nil {
			return nil, err
		}
	}
	if dir == "" {
		return nil, nil
	}
	files := map[string]string{}
	for _, pattern := range b.Patterns() {
		found, err := filepath.Glob(filepath.Join(escape(dir), filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return nil, err
			}
			if files[filepath.ToSlash(name)], err = weights.FileDigest(path); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

// escape makes a folder's name mean itself in a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(dir)
}
