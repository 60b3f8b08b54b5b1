package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/store"
)

// Entry returns the lock entry of an open model. plugin is the path of the plugin
// behind it, empty for a built-in adapter.
func (b Backbone) Entry(spec adapters.Spec, plugin string) (lockfile.Entry, error) {
	e, err := b.FilesEntry(plugin)
	if err != nil {
		return e, err
	}
	e.Digest, e.Family = spec.Digest, spec.Family
	if spec.DType != adapters.InvalidDType {
		e.DType = spec.DType.String()
	}
	if plugin != "" {
		err = readPlugin(&e, plugin)
	}
	return e, err
}

// FilesEntry returns the part of a lock entry that the manifest and the files of the model's
// folder determine. plugin is as for [Backbone.Entry]; its files are not read.
func (b Backbone) FilesEntry(plugin string) (lockfile.Entry, error) {
	e := lockfile.Entry{ID: b.ID, Source: string(b.Source), Plugin: plugin, Activation: b.Activation}
	if b.Commit != "" {
		e.Repository, e.Revision = b.Repository, b.Commit
	}
	digests, err := b.fileDigests(plugin != "")
	if err == nil && digests != nil {
		e.SetFiles(digests, b.recordedBefore)
	}
	return e, err
}

// PresentEntry returns the lock entry of a model that is not open, as far as its files determine
// it. found is false if the weights or the plugin are not on this machine. read returns the files
// of the plugin at a path, as [ReadPlugin] does.
func (b Backbone) PresentEntry(plugin string, read func(path string) (store.Snapshot, error)) (e lockfile.Entry, found bool, err error) {
	if b.Source == Missing && plugin == "" {
		return e, false, nil
	}
	if e, err = b.FilesEntry(plugin); err != nil {
		return e, false, err
	}
	if plugin != "" {
		files, err := read(plugin)
		if adapters.KindOf(err) == adapters.NotFound {
			return e, false, nil
		}
		if err == nil {
			e.SetPlugin(plugin, files)
		}
		return e, err == nil, err
	}
	dir, err := b.Folder()
	if err != nil {
		return e, false, err
	}
	folder, err := weights.Open(dir)
	if err != nil {
		return e, false, err
	}
	e.Digest, err = folder.Digest()
	return e, true, errors.Join(err, folder.Close())
}

// readPlugin adds a plugin's files to the entry of its model.
func readPlugin(e *lockfile.Entry, plugin string) error {
	files, err := ReadPlugin(plugin)
	if err == nil {
		e.SetPlugin(plugin, files)
	}
	return err
}

// ReadPlugin reads the files of the plugin at a path: its folder or executable.
func ReadPlugin(path string) (store.Snapshot, error) {
	found, err := store.OpenPath(path)
	if err != nil {
		return store.Snapshot{}, err
	}
	return found.Read()
}

// VisionEntry is [Backbone.Entry] for a vision encoder.
func (b Backbone) VisionEntry(spec adapters.VisionSpec, plugin string) (lockfile.Entry, error) {
	e, err := b.Entry(spec.Spec, plugin)
	e.Layer, e.Image = &spec.Layer, fmt.Sprintf("%dx%d", spec.Image.Width, spec.Image.Height)
	return e, err
}

// FeatureKey returns a key of everything that changes an encoder's features and that its spec
// does not say. A built-in encoder reads no tokenizer; of a plugin's files any may matter.
func FeatureKey(e lockfile.Entry) string {
	return e.Key(func(file string) bool { return e.Plugin != "" || !slices.Contains(languageFiles(), file) })
}

// fileDigests returns the digests of the files in a model's folder that can change its output;
// nil if it has no folder. A built-in adapter reads the files that the patterns name. A plugin
// may read any file of the folder.
func (b Backbone) fileDigests(plugin bool) (map[string]string, error) {
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
	list := b.filesRead
	if plugin {
		list = allFiles
	}
	names, err := list(dir)
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, name := range names {
		if digests[filepath.ToSlash(name)], err = weights.FileDigest(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return digests, nil
}

// filesRead returns the files of a folder that a built-in adapter may read.
func (b Backbone) filesRead(dir string) ([]string, error) {
	var names []string
	for _, pattern := range append(DefaultFiles(), b.Files...) {
		found, err := filepath.Glob(filepath.Join(escape(dir), filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			name, err := filepath.Rel(dir, path)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// recordedBefore reports whether the locks of older versions have a file: only the manifest's
// patterns counted, for plugins too.
func (b Backbone) recordedBefore(name string) bool {
	return slices.ContainsFunc(b.Patterns(), func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// allFiles returns all files of a folder, except hidden ones and those that bridge and Python
// write there.
func allFiles(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		if strings.HasPrefix(entry.Name(), ".") || entry.Name() == "__pycache__" || name == "runs" || name == lockfile.Name {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() { // also the target of a link
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "the files of %s cannot be listed: %w", dir, err).
			WithRemedy("give its user the right to read the folder")
	}
	return names, nil
}

// escape makes a folder's name mean itself in a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(dir)
}
