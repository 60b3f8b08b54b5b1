package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/plugins/project"
	"github.com/modular-bridging/bridge/plugins/store"
)

// foundPlugin is what the PATH of `bridge plugin test` means.
type foundPlugin struct {
	config host.Config
	family *adapters.Family // of this binary; nil where it is none
	kind   adapters.ModelKind

	// What a manifest says.
	checkpoint string
	manifest   func(host.Identity) []string // nil where there is none
}

// builtinPrefix marks a family of this binary.
const builtinPrefix = "builtin:"

// findPlugin finds a plugin, and builds it where it is a project.
func (p *program) findPlugin(ctx context.Context, path string) (foundPlugin, error) {
	if name, ok := strings.CutPrefix(path, builtinPrefix); ok {
		return p.findBuiltin(name)
	}
	info, err := os.Stat(path)
	if err != nil {
		e := adapters.Errorf(adapters.NotFound, "no plugin %q: %w", path, err)
		if installed, err := store.Default().Find(path); err == nil {
			return foundPlugin{}, e.WithRemedy("name the folder of the one that is installed: bridge plugin test %s", installed.Dir)
		}
		return foundPlugin{}, e.WithRemedy("name an executable, a plugin's folder or project, or builtin:FAMILY")
	}
	if info.IsDir() {
		return p.findProject(ctx, path)
	}
	path, err = filepath.Abs(path)
	return foundPlugin{config: host.Config{Name: filepath.Base(path), Path: path}}, err
}

// findBuiltin is a family of this binary, in a process of its own and in this one.
func (p *program) findBuiltin(name string) (foundPlugin, error) {
	var names []string
	for _, f := range builtin.Families() {
		if f.Name != name {
			names = append(names, f.Name)
			continue
		}
		cfg, err := p.process(opening{}, f.Kind, f.Name, adapters.LoadRequest{})
		return foundPlugin{config: cfg, family: &f, kind: f.Kind}, err
	}
	return foundPlugin{}, usagef("no built-in adapter %q%s (there are %s)", name, didyoumean.Hint(name, names), list(names))
}

// findProject is a plugin's folder: with a plugin.toml, whose build command is
// run first, or with one executable named bridge-adapter-NAME.
func (p *program) findProject(ctx context.Context, dir string) (foundPlugin, error) {
	if _, err := os.Lstat(filepath.Join(dir, manifest.File)); errors.Is(err, fs.ErrNotExist) {
		return findExecutable(dir)
	}
	project, err := project.Open(dir)
	if err != nil {
		return foundPlugin{}, err
	}
	if err := project.Build(ctx, p.stderr); err != nil {
		return foundPlugin{}, err
	}
	m := project.Manifest
	found := foundPlugin{kind: m.Kind, checkpoint: project.Checkpoint(), manifest: held(m),
		config: host.Config{Name: m.Name, Version: m.Version, Path: project.Program}}
	if len(m.Families) > 0 {
		found.config.Family = m.Families[0]
	}
	return found, nil
}

// held compares a manifest with what the program says.
func held(m manifest.Manifest) func(host.Identity) []string {
	return func(s host.Identity) []string { return m.Mismatches(s.Version, s.Protocol, s.Capabilities) }
}

// findExecutable is the one executable of a folder without a manifest.
func findExecutable(dir string) (foundPlugin, error) {
	paths, err := filepath.Glob(filepath.Join(dir, manifest.Prefix+"*"))
	paths = slices.DeleteFunc(paths, isDir)
	if err == nil && len(paths) != 1 {
		err = fmt.Errorf("it has no plugin.toml and %d executables named %sNAME", len(paths), manifest.Prefix)
	}
	if err != nil {
		return foundPlugin{}, adapters.Errorf(adapters.NotFound, "%s is no plugin's folder: %w", dir, err).
			WithRemedy("name a folder with a plugin.toml, or the executable itself")
	}
	path, err := filepath.Abs(paths[0])
	return foundPlugin{config: host.Config{Name: filepath.Base(path), Path: path}}, err
}
