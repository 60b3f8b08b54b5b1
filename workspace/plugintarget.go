package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/plugins/conformance"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/plugins/project"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
)

// TargetOptions describe how the conformance suite runs a plugin.
type TargetOptions struct {
	Checkpoint string             // folder to load; empty: the manifest's, else that of the first golden folder
	Golden     []string           // folders whose cases are run
	Kind       adapters.ModelKind // empty: the manifest's
	Family     string             // family of a program that serves several; empty: the manifest's first
	Backend    string
	BuildLog   io.Writer // receives the output of a project's build
}

// builtInPrefix is the prefix of a family of this binary.
const builtInPrefix = "builtin:"

// PluginTarget finds a plugin for the conformance suite and checks that it may run. path is an
// executable, a plugin's folder, an author's project, which is built first, or "builtin:FAMILY".
func (w *Workspace) PluginTarget(ctx context.Context, path string, o TargetOptions) (conformance.Target, error) {
	if err := w.checkBeforeBuild(path); err != nil {
		return conformance.Target{}, err
	}
	target, err := w.findTarget(ctx, path, o.BuildLog)
	if err != nil {
		return target, err
	}
	if o.Kind != "" {
		target.Kind = o.Kind
	}
	if o.Family != "" {
		target.Config.Family = o.Family
	}
	checkpoint, err := o.checkpoint(target.Config.Load.Checkpoint)
	if err != nil {
		return target, err
	}
	if checkpoint == "" && target.InProcess != nil {
		return target, OptionErrorf("%s needs --checkpoint DIR", path)
	}
	target.Config.Load = adapters.LoadRequest{Checkpoint: checkpoint, Backend: o.Backend, Progress: w.LogLoading(path)}
	target.Config.Logger = w.log
	if target.InProcess == nil {
		err = w.checkBeforeTest(&target, o.Golden)
	}
	return target, err
}

// checkpoint returns the folder to load: from the options, the manifest or a golden folder. It
// is empty if there is none.
func (o TargetOptions) checkpoint(manifest string) (string, error) {
	switch {
	case o.Checkpoint != "":
		return o.Checkpoint, nil
	case manifest != "":
		return manifest, nil
	case len(o.Golden) > 0:
		folder, err := golden.Open(o.Golden[0])
		if err != nil {
			return "", err
		}
		return folder.Checkpoint(), nil
	}
	return "", nil
}

// findTarget finds a plugin and builds it if it is a project. The target's Load has the
// manifest's checkpoint.
func (w *Workspace) findTarget(ctx context.Context, path string, buildLog io.Writer) (conformance.Target, error) {
	if name, ok := strings.CutPrefix(path, builtInPrefix); ok {
		return w.builtInTarget(name)
	}
	info, err := os.Stat(path)
	if err != nil {
		e := adapters.Errorf(adapters.NotFound, "no plugin %q: %w", path, err)
		if installed, err := store.Default().Find(path); err == nil {
			return conformance.Target{}, e.WithRemedy("to test the installed plugin, name its folder: bridge plugin test %s", shell.Path(installed.Dir))
		}
		return conformance.Target{}, e.WithRemedy("name an executable, a plugin's folder or project, or builtin:FAMILY")
	}
	if info.IsDir() {
		return projectTarget(ctx, path, buildLog)
	}
	path, err = filepath.Abs(path)
	return conformance.Target{Config: host.Config{Name: filepath.Base(path), Path: path}}, err
}

// builtInTarget returns a family of this binary, both in its own process and in this one.
func (w *Workspace) builtInTarget(name string) (conformance.Target, error) {
	var names []string
	for _, f := range builtin.Families() {
		names = append(names, f.Name)
		if f.Name != name {
			continue
		}
		cfg, err := w.pluginConfig(OpenSpec{}, f.Kind, f.Name, adapters.LoadRequest{})
		return conformance.Target{Config: cfg, InProcess: &f, Kind: f.Kind}, err
	}
	return conformance.Target{}, OptionErrorf("no built-in adapter %q%s (the adapters are %s)",
		name, didyoumean.Hint(name, names), strings.Join(names, ", "))
}

// projectTarget returns the plugin in a folder. It runs the build command of plugin.toml first.
// A folder without plugin.toml must have one executable named bridge-adapter-NAME.
func projectTarget(ctx context.Context, dir string, buildLog io.Writer) (conformance.Target, error) {
	if _, err := os.Lstat(filepath.Join(dir, manifest.File)); errors.Is(err, fs.ErrNotExist) {
		return executableTarget(dir)
	}
	found, err := project.Open(dir)
	if err != nil {
		return conformance.Target{}, err
	}
	if err := found.Build(ctx, buildLog); err != nil {
		return conformance.Target{}, err
	}
	m := found.Manifest
	target := conformance.Target{Kind: m.Kind, Config: host.Config{Name: m.Name, Version: m.Version, Path: found.Program},
		Manifest: func(s host.Identity) []string { return m.Mismatches(s.Version, s.Protocol, s.Capabilities) }}
	target.Config.Load.Checkpoint = found.Checkpoint()
	if len(m.Families) > 0 {
		target.Config.Family = m.Families[0]
	}
	return target, nil
}

// executableTarget returns the one executable of a folder without a manifest.
func executableTarget(dir string) (conformance.Target, error) {
	paths, err := filepath.Glob(filepath.Join(dir, manifest.Prefix+"*"))
	paths = slices.DeleteFunc(paths, isDir)
	if err == nil && len(paths) != 1 {
		err = fmt.Errorf("it has no plugin.toml and %d executables named %sNAME", len(paths), manifest.Prefix)
	}
	if err != nil {
		return conformance.Target{}, adapters.Errorf(adapters.NotFound, "%s is not a plugin's folder: %w", dir, err).
			WithRemedy("name a folder with a plugin.toml, or the executable itself")
	}
	path, err := filepath.Abs(paths[0])
	return conformance.Target{Config: host.Config{Name: filepath.Base(path), Path: path}}, err
}

// checkBeforeBuild checks a plugin before its build command runs, if a lock or a signature is
// required.
func (w *Workspace) checkBeforeBuild(path string) error {
	policy, err := w.Policy(PluginConstraints{})
	if err != nil || !policy.Locked && !policy.RequireSigned || !isFile(filepath.Join(path, manifest.File)) {
		return err
	}
	found, err := findByPath(path)
	if err != nil || found.Manifest.Build.Command == "" {
		return err
	}
	_, err = checkPlugin(found, policy)
	return err
}

// checkBeforeTest checks a plugin once before the conformance suite starts it, and sets up the
// sandbox if it is required.
func (w *Workspace) checkBeforeTest(target *conformance.Target, folders []string) error {
	found, err := findByPath(target.Config.Path)
	if err != nil {
		return err
	}
	policy, err := w.Policy(PluginConstraints{})
	if err != nil {
		return err
	}
	if policy.Sandbox != trust.SandboxOn {
		_, err = examinePlugin(found, policy)
		return err
	}
	if err := checkStartable(found, policy); err != nil {
		return err
	}
	policy.Libraries = backends.Probe().Folders
	if policy.Checkpoint, err = absolute(target.Config.Load.Checkpoint); err != nil {
		return err
	}
	for _, dir := range folders {
		if dir, err = absolute(dir); err != nil {
			return err
		}
		policy.Read = append(policy.Read, dir)
	}
	target.Confine, err = trust.NewGuard(found, policy).Confine()
	return err
}

// findByPath finds the plugin at a path. The path may have no slash.
func findByPath(path string) (store.Plugin, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return store.Plugin{}, err
	}
	return store.Default().Find(path)
}

// absolute is like filepath.Abs, except that an empty path stays empty.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}
