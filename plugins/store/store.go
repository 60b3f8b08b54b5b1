// Package store finds plugins on this machine, and adds and removes them. It reads their
// manifests and files, and never runs them.
//
// A plugin is a folder in one of two places: "plugins" in the project, which is the current
// folder, and "plugins" in the user's data folder. The name of its folder is its name in
// recipes. If both places have a plugin of one name, the project's counts. A recipe can name
// any other folder or executable by its path.
package store

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/execerr"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/plugins/manifest"
)

// Plugin is a plugin that was found.
type Plugin struct {
	Name string // of its folder in a place; otherwise the manifest's or the executable's
	Dir  string // absolute; empty for an executable without a manifest
	// Program is the absolute path of the executable, which need not exist: it may have
	// to be built.
	Program  string
	Manifest manifest.Manifest // zero without Dir
	Place    Place
	Shadows  string // folder of the user's plugin of the same name, which is hidden
}

// Place says how a plugin was found.
type Place string

// The places.
const (
	InProject Place = "project"
	OfUser    Place = "user"
	ByPath    Place = "path"
)

// Folders are the folders of the two places. An empty one is skipped.
type Folders struct {
	Project, User string
}

// Default returns the plugins folders of the current folder and of the user.
func Default() Folders {
	f := Folders{Project: "plugins"}
	if data := dataFolder(); data != "" {
		f.User = filepath.Join(data, "plugins")
	}
	return f
}

// dataFolder returns $BRIDGE_DATA, or bridge's folder in the user's data folder, or an empty
// string if the system has none.
func dataFolder() string {
	if dir := os.Getenv("BRIDGE_DATA"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "bridge")
	}
	home, err := os.UserHomeDir()
	switch {
	case err != nil:
		return ""
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Application Support", "bridge")
	}
	return filepath.Join(home, ".local", "share", "bridge")
}

// in returns the folder of a place.
func (f Folders) in(p Place) string {
	if p == OfUser {
		return f.User
	}
	return f.Project
}

// Broken is a folder that should hold a plugin and does not.
type Broken struct {
	Name, Dir string
	Place     Place
	Err       error
}

// List returns the plugins by name, and the folders whose manifests have errors. It ignores
// folders without a manifest.
func (f Folders) List() ([]Plugin, []Broken, error) {
	found := map[string]Plugin{}
	var broken []Broken
	for _, place := range []Place{InProject, OfUser} {
		names, err := f.names(place)
		if err != nil {
			return nil, nil, err
		}
		for _, name := range names {
			dir := filepath.Join(f.in(place), name)
			p, err := open(dir, name, place)
			if err != nil {
				broken = append(broken, Broken{name, dir, place, err})
				continue
			}
			if first, ok := found[name]; ok {
				first.Shadows = p.Dir
				p = first
			}
			found[name] = p
		}
	}
	var all []Plugin
	for _, p := range found {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Plugin) int { return cmp.Compare(a.Name, b.Name) })
	return all, broken, nil
}

// names returns the names of the folders with a manifest in a place.
func (f Folders) names(place Place) ([]string, error) {
	dir := f.in(place)
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "the plugins of the %s cannot be listed: %w", place, err)
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Lstat(filepath.Join(dir, e.Name(), manifest.File)); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Find returns the plugin that a recipe or a flag names: by its name, or, if there is a slash
// in it, by the path of its folder or executable.
func (f Folders) Find(name string) (Plugin, error) {
	if strings.ContainsAny(name, `/\`) {
		p, err := OpenPath(name)
		return f.placed(p), err
	}
	var found Plugin
	var known []string
	for _, place := range []Place{InProject, OfUser} {
		names, err := f.names(place)
		if err != nil {
			return Plugin{}, err
		}
		known = append(known, names...)
		if !slices.Contains(names, name) {
			continue
		}
		dir := filepath.Join(f.in(place), name)
		if found.Dir != "" {
			found.Shadows = dir
			continue
		}
		if found, err = open(dir, name, place); err != nil {
			return Plugin{}, err
		}
	}
	if found.Dir != "" {
		return found, nil
	}
	return Plugin{}, notFound(name, known, []string{f.Project, f.User})
}

// placed sets the place and name of a plugin that was named by its path, if its folder is in
// one of the two places.
func (f Folders) placed(p Plugin) Plugin {
	name := filepath.Base(p.Dir)
	if p.Dir == "" || manifest.CheckName(name) != nil {
		return p
	}
	for _, place := range []Place{InProject, OfUser} {
		dir, err := filepath.Abs(f.in(place))
		if err == nil && f.in(place) != "" && filepath.Dir(p.Dir) == dir {
			p.Name, p.Place = name, place
			return p
		}
	}
	return p
}

// notFound returns the error for a name that no plugin has.
func notFound(name string, known, looked []string) error {
	looked = slices.DeleteFunc(looked, func(dir string) bool { return dir == "" })
	where := ""
	if len(looked) > 0 {
		where = " in " + strings.Join(looked, " or ")
	}
	err := adapters.Errorf(adapters.NotFound, "no plugin %q%s%s", name, where, didyoumean.Hint(name, known))
	if strings.ContainsAny(name, `/\`) { // only Remove passes a path: it deletes only from the two places
		return err.WithRemedy("use a name that `bridge plugin list` shows; delete folders elsewhere yourself")
	}
	if _, statErr := os.Stat(name); statErr == nil {
		return err.WithRemedy("%s is the path of the entry with this name here", shell.Word("./"+name))
	}
	return err.WithRemedy("`bridge plugin list` shows the names, `bridge plugin add PATH` adds one; a path has a slash in it")
}

// open reads the manifest of the plugin in a folder.
func open(dir, name string, place Place) (Plugin, error) {
	if name != "" {
		if err := manifest.CheckName(name); err != nil {
			return Plugin{}, err
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Plugin{}, err
	}
	m, err := manifest.Load(abs)
	if err != nil {
		return Plugin{}, err
	}
	return Plugin{Name: cmp.Or(name, m.Name), Dir: abs, Program: m.Path(abs), Manifest: m, Place: place}, nil
}

// OpenPath returns the plugin in a folder, the plugin to which an executable belongs, or an
// executable without a manifest.
func OpenPath(path string) (Plugin, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Plugin{}, adapters.Errorf(adapters.NotFound, "no plugin: %w", err).
			WithRemedy("name a plugin's folder, or its executable")
	}
	if info.IsDir() {
		return open(path, "", ByPath)
	}
	program, err := filepath.Abs(path)
	if err != nil {
		return Plugin{}, err
	}
	// An executable may lie deeper in the plugin's folder than the manifest.
	for dir := filepath.Dir(program); ; dir = filepath.Dir(dir) {
		_, err := os.Lstat(filepath.Join(dir, manifest.File))
		if err == nil {
			p, err := open(dir, "", ByPath)
			if err != nil || p.Program == program {
				return p, err
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	name := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(program), filepath.Ext(program)), manifest.Prefix)
	return Plugin{Name: name, Program: program, Place: ByPath}, nil
}

// CheckExecutable returns an error unless the plugin's executable exists and can be executed.
func (p Plugin) CheckExecutable() error {
	_, err := exec.LookPath(p.Program)
	if err == nil {
		return nil
	}
	if fact, remedy := execerr.Explain(p.Program, err); fact != "" {
		return adapters.Errorf(adapters.NotFound, "plugin %s has no executable: %s", p.Name, fact).WithRemedy("%s", remedy)
	}
	e := adapters.Errorf(adapters.NotFound, "plugin %s has no executable: %w", p.Name, err)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return e.WithRemedy("check that you may enter the folders above it")
	case p.Manifest.Build.Command != "":
		return e.WithRemedy("build it, which runs its command as you: bridge plugin build %s", shell.Path(p.Dir))
	}
	return e.WithRemedy("put it there, or correct executable in %s", filepath.Join(p.Dir, manifest.File))
}

// CheckBuilt is [Plugin.CheckExecutable], and also returns an error if something is missing
// that the plugin's build makes on each machine. A release does not contain that, and the
// executable may not work without it.
func (p Plugin) CheckBuilt() error {
	if err := p.CheckExecutable(); err != nil {
		return err
	}
	for _, name := range p.Manifest.Build.Makes {
		_, err := os.Lstat(filepath.Join(p.Dir, name))
		if err == nil {
			continue
		}
		e := adapters.Errorf(adapters.NotFound, "plugin %s is not built here: it lacks %s, which its build makes: %w", p.Name, name, err)
		if p.Manifest.Build.Command == "" {
			return e.WithRemedy("put it there, or take it out of makes in %s", filepath.Join(p.Dir, manifest.File))
		}
		return e.WithRemedy("build it, which runs its command as you: bridge plugin build %s", shell.Path(p.Dir))
	}
	return nil
}
