package registry

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/internal/writable"
)

// pathsFile is the file in which `bridge models add` records folders.
const pathsFile = "models.toml"

// readPaths reads the recorded folders of the registry's ids.
func (r *Registry) readPaths() (map[string]string, error) {
	if r.options.Config == "" {
		return nil, nil
	}
	doc, err := stricttoml.Read(filepath.Join(r.options.Config, pathsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var content struct {
		Paths map[string]string `toml:"paths"`
	}
	doc.Decode(&content)
	for _, id := range slices.Sorted(maps.Keys(content.Paths)) {
		if _, ok := r.manifests[id]; !ok {
			doc.Errorf("paths."+id, "no model has the id %q, mend or remove the line%s", id, didyoumean.Hint(id, r.IDs()))
		}
	}
	return content.Paths, doc.Err()
}

// AddPath records dir as the folder of id's weights, for this user. The folder must hold a
// checkpoint of the manifest's kind, width and family. The registry itself does not change:
// make a new one.
func (r *Registry) AddPath(id, dir string) (Backbone, error) {
	m, ok := r.manifests[id]
	if !ok {
		_, err := r.Lookup(id)
		if err == nil {
			err = adapters.Errorf(adapters.Invalid, "%q is a folder, want a registry id", id).
				WithRemedy("a folder needs no entry: use its path wherever an id is wanted")
		}
		return Backbone{}, err
	}
	if r.options.Config == "" {
		return Backbone{}, adapters.Errorf(adapters.Unsupported, "there is no configuration folder to record the path in").
			WithRemedy("set BRIDGE_CONFIG to a folder")
	}
	b, err := r.checkFits(m, dir)
	if err != nil {
		return Backbone{}, err
	}
	paths, err := r.readPaths()
	if err != nil {
		return Backbone{}, err
	}
	if paths == nil {
		paths = map[string]string{}
	}
	paths[id] = b.Path
	err = stricttoml.WriteFile(filepath.Join(r.options.Config, pathsFile), "# Folders recorded by `bridge models add`.\n",
		map[string]any{"paths": paths})
	return b, writable.Explain(err, r.options.Config, "BRIDGE_CONFIG")
}

// checkFits checks that a folder can be the model of a manifest, weights included. If no
// built-in family reads the folder, it leaves the check to the plugin that does.
func (r *Registry) checkFits(m Manifest, dir string) (Backbone, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return Backbone{}, err
	}
	if _, err := readConfig(path); err != nil {
		return Backbone{}, err
	}
	b := Backbone{Manifest: m, Source: FromPath, Path: path}
	if _, err := r.Family(b); err != nil {
		return b, nil
	}
	f, err := r.FolderKind(path, m.Kind)
	if err != nil {
		return Backbone{}, err
	}
	if f.Kind != m.Kind || f.Manifest.Family != m.Family || f.Width != m.Width {
		return Backbone{}, adapters.Errorf(adapters.Invalid, "%s holds a %s of family %s and width %d, %s is a %s of family %s and width %d",
			path, f.Kind, f.Manifest.Family, f.Width, m.ID, m.Kind, m.Family, m.Width).
			WithRemedy("name the folder itself wherever an id is wanted, or fetch %s", m.Repository)
	}
	weights, err := weights.Open(path)
	if err != nil {
		return Backbone{}, err
	}
	return b, weights.Close()
}
