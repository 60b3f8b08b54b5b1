package workspace

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/gomlx/compute"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
)

// This file finds the frozen models and plugins that a bridge was trained with, when the
// bridge is opened.

// BridgeDir returns the folder of the bridge that a MODEL names: a run's, a bridge's
// own, or one of the kit's.
func (w *Workspace) BridgeDir(ctx context.Context, model string) (string, error) {
	if name, ok := strings.CutPrefix(model, "kit:"); ok {
		return kitBridge(ctx, name)
	}
	if run := train.BridgeDir(model); isDir(run) {
		return run, nil
	}
	if isFile(model) {
		return "", adapters.Errorf(adapters.Unsupported, "%s is a file, want a folder", model).
			WithRemedy("a .pth file of LAVIS becomes a MODEL with: bridge convert %s DIR --encoder ID --llm ID", model)
	}
	if !isDir(model) {
		return "", adapters.Errorf(adapters.NotFound, "no model %q: no such folder", model).
			WithRemedy("name a run folder, its bridge folder, a folder with a BLIP-2 that transformers saved, kit:stage1 or kit:stage2")
	}
	return model, nil
}

func kitBridge(ctx context.Context, name string) (string, error) {
	dir, err := kit.Extract(ctx, CacheDir())
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, name)
	if !isDir(dir) {
		return "", adapters.Errorf(adapters.NotFound, "the kit has no bridge \"kit:%s\"", name).
			WithRemedy("the kit's bridges are kit:stage1 and kit:stage2; `make kit` builds them")
	}
	return dir, nil
}

// BridgeInfo reads what the bridge that a MODEL names was trained with. Paths are those
// of today: see [Options.Relocations].
func (w *Workspace) BridgeInfo(ctx context.Context, model string) (bridge.Info, error) {
	dir, err := w.BridgeDir(ctx, model)
	if err != nil {
		return bridge.Info{}, err
	}
	return w.readInfo(dir)
}

// LoadBridge loads the bridge that a MODEL names, without its frozen models. The caller
// closes it.
func (w *Workspace) LoadBridge(ctx context.Context, backend compute.Backend, model string) (*bridge.Bridge, error) {
	dir, err := w.BridgeDir(ctx, model)
	if err != nil {
		return nil, err
	}
	b, err := bridge.Load(ctx, backend, dir)
	if err != nil {
		return nil, err
	}
	if err := w.resolveInfo(dir, &b.Info); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// readInfo reads what the bridge in a folder was trained with.
func (w *Workspace) readInfo(dir string) (bridge.Info, error) {
	info, _, err := bridge.ReadInfo(dir)
	if err != nil {
		return info, err
	}
	return info, w.resolveInfo(dir, &info)
}

// resolveInfo completes what was read from a bridge's folder: with the lock of the run
// that it lies in, and with the paths of today.
func (w *Workspace) resolveInfo(dir string, info *bridge.Info) error {
	run, l, err := runOf(dir)
	if err != nil {
		return err
	}
	w.resolveSide(&info.Vision, l.Vision)
	if info.Language != nil {
		language := *info.Language
		entry := lockfile.Entry{}
		if l.Language != nil {
			entry = *l.Language
		}
		w.resolveSide(&language, entry)
		info.Language = &language
	}
	info.Stage1 = w.options.Relocations.resolve(info.Stage1)
	return rejectBundledPlugin(run, *info)
}

// resolveSide completes a side. Bridges of older versions do not record what a plugin
// was; the locks of their runs do.
func (w *Workspace) resolveSide(side *bridge.Side, locked lockfile.Entry) {
	if side.Plugin != "" && side.PluginDigest == "" && side.Digest == locked.Digest {
		side.PluginVersion, side.PluginDigest, side.PluginParts = locked.PluginVersion, locked.PluginDigest, locked.PluginParts
	}
	side.Path, side.Plugin = w.options.Relocations.resolve(side.Path), w.options.Relocations.resolve(side.Plugin)
}

// rejectBundledPlugin refuses a bridge whose plugin lies in the folder that the bridge was
// read from, or in its run's. A user who opens a model does not mean to run a program
// that came with it.
func rejectBundledPlugin(folder string, info bridge.Info) error {
	sides := []bridge.Side{info.Vision}
	if info.Language != nil {
		sides = append(sides, *info.Language)
	}
	for _, side := range sides {
		if filepath.IsAbs(side.Plugin) && bridge.Inside(folder, side.Plugin) {
			return adapters.Errorf(adapters.Invalid, "%s contains the plugin of %s, %s: bridge runs no program from a model's folder",
				folder, side.ID, side.Plugin).
				WithRemedy("if you trust it: bridge plugin add %s, then use it with --moved %s=NAME", side.Plugin, side.Plugin)
		}
	}
	return nil
}

// runOf finds the run that a bridge's folder lies in, RUN/bridge or RUN/checkpoints/STEP,
// and reads its lock. For a folder outside any run it returns the folder and an empty
// lock.
func runOf(dir string) (folder string, l lockfile.Lock, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", l, err
	}
	for _, run := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if !isFile(filepath.Join(run, recipes.RunFile)) {
			continue
		}
		l, err := lockfile.ReadProject(filepath.Join(run, lockfile.Name))
		if err != nil || l.Vision.ID != "" { // a lock without models is a project's
			return run, l, err
		}
	}
	return dir, l, nil
}

// constraintsOfRun reads what the recipe of a bridge's run requires of a plugin. It holds
// for everyone who uses the bridge. A folder outside any run requires nothing.
func constraintsOfRun(dir string, kind adapters.ModelKind) (PluginConstraints, error) {
	run, l, err := runOf(dir)
	if err != nil || l.Vision.ID == "" {
		return PluginConstraints{}, err
	}
	doc, err := stricttoml.Read(filepath.Join(run, recipes.RunFile))
	if err != nil {
		return PluginConstraints{}, err
	}
	table := map[adapters.ModelKind]string{adapters.KindVision: "vision", adapters.KindLanguage: "language"}
	return constraintsIn(doc, table[kind]), nil
}

// constraintsIn reads the constraints in a recipe's table. The other keys of a recipe that
// another version of bridge resolved need not be known.
func constraintsIn(doc *stricttoml.Document, table string) (c PluginConstraints) {
	if v, ok := doc.Value(table + ".locked"); ok {
		c.Locked = v == true
	}
	if v, ok := doc.Value(table + ".sandbox"); ok && v == string(trust.SandboxOn) {
		c.Sandbox = trust.SandboxOn
	}
	names, _ := doc.Value(table + ".environment")
	list, _ := names.([]any)
	for _, name := range list {
		if text, ok := name.(string); ok {
			c.Environment = append(c.Environment, text)
		}
	}
	return c
}

// checkPresent returns a NotFound error, with a --moved remedy, if a side's checkpoint or
// plugin no longer exists at its recorded path.
func checkPresent(side bridge.Side, kind adapters.ModelKind) error {
	check := func(what, path, remedy string) error {
		if _, err := os.Stat(path); path == "" || err == nil || what == "plugin" && !strings.Contains(path, "/") {
			return nil
		}
		return adapters.Errorf(adapters.NotFound, "%s for %s %s not found at %s", what, kind, side.ID, path).
			WithRemedy("put it back, or pass its new path: --moved %s=%s", path, remedy)
	}
	if err := check("plugin", side.Plugin, "PATH, or =NAME of one that `bridge plugin list` shows"); err != nil {
		return err
	}
	return check("folder", side.Path, "DIR")
}

// TrainedPlugin returns the plugin behind a side as it was in training.
func TrainedPlugin(side bridge.Side) trust.Trained {
	return trust.Trained{Version: side.PluginVersion, Digest: side.PluginDigest, Parts: side.PluginParts}
}

// ProjectDir returns the working folder. Paths inside it are stored as relative paths, so
// that it can be moved. It is empty if the system does not name it.
func ProjectDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	return dir
}
