package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/nearest"
	"github.com/modular-bridging/bridge/plugins"
)

// foundPlugin is what the PATH of `bridge plugin test` means.
type foundPlugin struct {
	config     plugins.Config
	family     *adapters.Family // of this binary; nil where it is none
	kind       adapters.ModelKind
	checkpoint string // that a manifest names
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
		return foundPlugin{}, adapters.Errorf(adapters.NotFound, "no plugin %q: %w", path, err).
			WithRemedy("name an executable, a plugin's folder or project, or builtin:FAMILY")
	}
	if info.IsDir() {
		return p.findProject(ctx, path)
	}
	return foundPlugin{config: plugins.Config{Name: filepath.Base(path), Path: path}}, nil
}

// findBuiltin is a family of this binary, in a process of its own and in this one.
func (p *program) findBuiltin(name string) (foundPlugin, error) {
	var names []string
	for _, f := range builtin() {
		if f.Name != name {
			names = append(names, f.Name)
			continue
		}
		cfg, err := p.process(opening{}, f.Name, adapters.LoadRequest{})
		return foundPlugin{config: cfg, family: &f, kind: f.Kind}, err
	}
	return foundPlugin{}, usagef("no built-in adapter %q%s (there are %s)", name, nearest.Hint(name, names), list(names))
}

// pluginManifest is what the kit reads of a plugin.toml.
type pluginManifest struct {
	Name       string
	Kind       adapters.ModelKind
	Families   []string
	Executable string
	Build      struct{ Command string }
	Test       struct{ Checkpoint string }
}

// findProject is a plugin's folder: with a plugin.toml, whose build command is
// run first, or with one executable named bridge-adapter-NAME.
func (p *program) findProject(ctx context.Context, dir string) (foundPlugin, error) {
	file := filepath.Join(dir, "plugin.toml")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return findExecutable(dir)
	}
	var m pluginManifest
	if err == nil {
		err = toml.Unmarshal(text, &m)
	}
	if err != nil {
		return foundPlugin{}, adapters.Errorf(adapters.Invalid, "%s: %w", file, err)
	}
	if m.Executable == "" {
		m.Executable = "bridge-adapter-" + m.Name
	}
	for key, path := range map[string]string{"executable": m.Executable, "test.checkpoint": m.Test.Checkpoint} {
		if path != "" && !filepath.IsLocal(filepath.FromSlash(path)) {
			return foundPlugin{}, adapters.Errorf(adapters.Invalid, "%s: %s is %q, want a path in the plugin's folder", file, key, path)
		}
	}
	if err := p.buildProject(ctx, dir, m); err != nil {
		return foundPlugin{}, err
	}
	found := foundPlugin{kind: m.Kind, config: plugins.Config{Name: m.Name, Path: filepath.Join(dir, filepath.FromSlash(m.Executable))}}
	if len(m.Families) > 0 {
		found.config.Family = m.Families[0]
	}
	if m.Test.Checkpoint != "" {
		found.checkpoint = filepath.Join(dir, filepath.FromSlash(m.Test.Checkpoint))
	}
	return found, nil
}

// findExecutable is the one executable of a folder without a manifest.
func findExecutable(dir string) (foundPlugin, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "bridge-adapter-*"))
	if err == nil && len(paths) != 1 {
		err = fmt.Errorf("it has no plugin.toml and %d executables named bridge-adapter-NAME", len(paths))
	}
	if err != nil {
		return foundPlugin{}, adapters.Errorf(adapters.NotFound, "%s is no plugin's folder: %w", dir, err).
			WithRemedy("name a folder with a plugin.toml, or the executable itself")
	}
	return foundPlugin{config: plugins.Config{Name: filepath.Base(paths[0]), Path: paths[0]}}, nil
}

// buildProject runs the build command of a project in its folder and shows it.
func (p *program) buildProject(ctx context.Context, dir string, m pluginManifest) error {
	if strings.TrimSpace(m.Build.Command) == "" {
		return nil
	}
	fmt.Fprintf(p.stderr, "in %s: %s\n", dir, m.Build.Command)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", m.Build.Command)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, p.stderr, p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return adapters.Errorf(adapters.Invalid, "%s is not built: `%s` ended with %w", m.Name, m.Build.Command, err).
			WithRemedy("what it says stands above")
	}
	return nil
}
