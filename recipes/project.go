package recipes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/homepath"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/plugins/lockfile"
)

// RunFile is the file in a run folder that holds the recipe as it was resolved.
const RunFile = "recipe.toml"

// The recipe in a run folder names files of its project relative to the project's folder,
// which the run's lock names. So a project can be moved or copied as a whole, and the
// recipe means the same from any working directory.

// pathKey is a key whose value is a path, or may be one.
type pathKey struct {
	key   string
	value *string
	other func(string) bool // reports whether a value is something else
	mark  bool              // a path begins with ./, because it could be taken for something else
}

// pathKeys returns the keys of a recipe whose values may be paths.
func (r *Recipe) pathKeys() []pathKey {
	never := func(string) bool { return false }
	kits := func(v string) bool { return strings.HasPrefix(v, kitPrefix) }
	unmarked := func(v string) bool { return !strings.HasPrefix(v, "./") }
	named := func(v string) bool { return !strings.ContainsAny(v, `/\`) }
	keys := []pathKey{
		{"from", &r.From, kits, false},
		{"vision.path", &r.Vision.Path, never, false}, {"vision.plugin", &r.Vision.Plugin, named, true},
		{"projection.list", &r.Projection.List, never, false},
		{"qformer.init", &r.QFormer.Init, unmarked, true}, {"qformer.tokenizer", &r.QFormer.Tokenizer, unmarked, true},
	}
	for table, s := range map[string]*Source{"data.train": &r.Data.Train, "data.eval": &r.Data.Eval} {
		keys = append(keys, pathKey{table + ".annotations", &s.Annotations, never, false},
			pathKey{table + ".questions", &s.Questions, never, false}, pathKey{table + ".images", &s.Images, never, false})
	}
	if r.Language != nil {
		keys = append(keys, pathKey{"language.path", &r.Language.Path, never, false}, pathKey{"language.plugin", &r.Language.Plugin, named, true})
	}
	return keys
}

// checkPaths reports paths that begin with ~, which is a shell's word for the home folder.
func (r *Recipe) checkPaths() {
	for _, k := range r.pathKeys() {
		checkPath(r.doc, k.key, *k.value)
	}
}

// checkPath reports a path that begins with ~.
func checkPath(doc *stricttoml.Document, key, path string) {
	if write, found := homepath.Advice(path); found {
		doc.Errorf(key, "is %q, but ~ is not expanded in a recipe, because no shell reads it; want %s, or a path relative to the working folder",
			path, write)
	}
}

// Portable returns the recipe with the paths inside a project's folder relative to it.
// Without a project it returns the recipe itself.
func (r *Resolved) Portable(project string) *Recipe {
	c := r.Recipe
	if r.Language != nil {
		language := *r.Language
		c.Language = &language
	}
	for _, s := range []*Source{&c.Data.Train, &c.Data.Eval} {
		*s = s.withPaths(func(path string) string { return inside(project, path) })
	}
	for _, k := range c.pathKeys() {
		from, err := filepath.Rel(project, *k.value)
		if project == "" || !filepath.IsAbs(*k.value) || err != nil || !filepath.IsLocal(from) {
			continue
		}
		*k.value = filepath.ToSlash(from)
		if k.mark {
			*k.value = "./" + *k.value
		}
	}
	return &c
}

// inProject makes absolute the paths that a run's recipe names relative to its project.
func inProject(doc *stricttoml.Document, file string) error {
	run, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return err
	}
	lock, err := lockfile.ReadProject(filepath.Join(run, lockfile.Name))
	if err != nil || lock.Project == "" {
		return err
	}
	named := map[string]string{}
	for _, k := range (&Recipe{Language: &Language{}}).pathKeys() {
		v, _ := doc.Value(k.key)
		if path, ok := v.(string); ok && path != "" && !filepath.IsAbs(path) && !k.other(path) {
			named[k.key] = filepath.FromSlash(path)
		}
	}
	sources := sourceTables(doc)
	for i, path := range firstPaths(sources) {
		named[fmt.Sprintf("source %d", i)] = path // no key: it is rewritten below
	}
	project := projectOf(run, lock, named)
	for _, table := range sources {
		rewriteSource(table, project)
	}
	for key, path := range named {
		doc.Rewrite(key, func(string) string { return filepath.Join(project, path) })
	}
	return nil
}

// inside returns a path relative to a project's folder, if it is inside.
func inside(project, path string) string {
	from, err := filepath.Rel(project, path)
	if project == "" || !filepath.IsAbs(path) || err != nil || !filepath.IsLocal(from) {
		return path
	}
	return filepath.ToSlash(from)
}

// sourceTables returns the tables of a document that may have the key source: those of data sets
// and of mixtures.
func sourceTables(doc *stricttoml.Document) (tables []map[string]any) {
	for _, key := range []string{"data.train", "data.eval"} {
		v, _ := doc.Value(key)
		table, ok := v.(map[string]any)
		if !ok {
			continue
		}
		tables = append(tables, table)
		if mix, ok := table["mix"].([]map[string]any); ok {
			tables = append(tables, mix...)
		}
	}
	return tables
}

// rewriteSource makes the paths of a table with the key source absolute, from a project's folder.
// The folder images of a data set is rewritten elsewhere; making it absolute twice changes nothing.
func rewriteSource(table map[string]any, project string) {
	absolute := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(project, filepath.FromSlash(path))
	}
	if images, ok := table["images"].(string); ok {
		table["images"] = absolute(images)
	}
	switch source := table["source"].(type) {
	case string:
		table["source"] = changeList(source, absolute)
	case []any:
		for i, v := range source {
			if path, ok := v.(string); ok {
				source[i] = changeList(path, absolute)
			}
		}
	}
}

// firstPaths returns the relative paths of sources, up to the first folder with a brace: by them
// the project's folder is recognised.
func firstPaths(tables []map[string]any) (paths []string) {
	for _, table := range tables {
		list, _ := table["source"].([]any)
		if one, ok := table["source"].(string); ok {
			list = []any{one}
		}
		for _, v := range list {
			text, _ := v.(string)
			_ = changeList(text, func(path string) string {
				path, _, _ = strings.Cut(path, "#")
				if at := strings.IndexByte(path, '{'); at >= 0 {
					path = filepath.Dir(path[:at] + "x")
				}
				if path != "" && !filepath.IsAbs(path) {
					paths = append(paths, filepath.FromSlash(path))
				}
				return path
			})
		}
	}
	return paths
}

// OrientationKey is the key of the pictures' orientation.
const OrientationKey = "data.orientation"

// asRecorded completes the recipe of a run of a version that did not record the orientation
// of pictures: it ignored it.
func asRecorded(doc *stricttoml.Document, file string) error {
	if filepath.Base(file) != RunFile || !doc.Has("data") || doc.Has(OrientationKey) {
		return nil
	}
	lock, err := lockfile.ReadProject(filepath.Join(filepath.Dir(file), lockfile.Name))
	if err != nil || lock.Vision.ID == "" { // a lock without models belongs to a project
		return err
	}
	return doc.SetValue(OrientationKey, string(imaging.AsStored), "the run's version of bridge")
}

// projectOf returns the folder of a run's project. That is the one that the lock names
// relative to the run; or the one where the project was when the run started, if only that
// one has all the named files: the run was moved alone.
func projectOf(run string, lock lockfile.Lock, named map[string]string) string {
	project := filepath.Join(run, filepath.FromSlash(lock.Project))
	if !hasAll(project, named) && hasAll(lock.ProjectWas, named) {
		return lock.ProjectWas
	}
	return project
}

// hasAll reports whether a project's folder has all the named files.
func hasAll(project string, named map[string]string) bool {
	for _, path := range named {
		if _, err := os.Stat(filepath.Join(project, path)); err != nil {
			return false
		}
	}
	return project != ""
}
