package workspace

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/gomlx/compute"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
)

// This file finds the frozen models and plugins that a bridge was trained with.

// BridgeDir returns the folder of a bridge. model is a run folder, a bridge's own folder, or a
// bridge of the kit ("kit:stage2").
func (w *Workspace) BridgeDir(ctx context.Context, model string) (string, error) {
	if name, ok := strings.CutPrefix(model, "kit:"); ok {
		return kitBridge(ctx, name)
	}
	if run := train.BridgeDir(model); isDir(run) {
		return run, nil
	}
	if isFile(model) {
		return "", adapters.Errorf(adapters.Unsupported, "%s is a file, want a folder", model).
			WithRemedy("convert a .pth file of LAVIS first: bridge convert %s DIR --encoder ID --llm ID", shell.Path(model))
	}
	if !isDir(model) {
		return "", adapters.Errorf(adapters.NotFound, "no model %q: no such folder", model).
			WithRemedy("name a run folder, its bridge folder, a BLIP-2 folder saved by transformers, kit:stage1 or kit:stage2")
	}
	return model, nil
}

func kitBridge(ctx context.Context, name string) (string, error) {
	dir, err := KitDir(ctx)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, name)
	if !isDir(dir) {
		return "", adapters.Errorf(adapters.NotFound, "the kit has no bridge \"kit:%s\"", name).
			WithRemedy("use kit:stage1 or kit:stage2; if they are missing, build them with `make kit`")
	}
	return dir, nil
}

// BridgeInfo returns the record of how a bridge was trained. model is as for
// [Workspace.BridgeDir]. Paths are current: see [Options.Relocations].
func (w *Workspace) BridgeInfo(ctx context.Context, model string) (bridge.Info, error) {
	dir, err := w.BridgeDir(ctx, model)
	if err != nil {
		return bridge.Info{}, err
	}
	return w.readInfo(dir)
}

// LoadBridge loads a bridge without its frozen models. model is as for [Workspace.BridgeDir].
// The caller closes the bridge.
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

// readInfo returns the record of how the bridge in a folder was trained, with current paths.
func (w *Workspace) readInfo(dir string) (bridge.Info, error) {
	info, _, err := bridge.ReadInfo(dir)
	if err != nil {
		return info, err
	}
	return info, w.resolveInfo(dir, &info)
}

// resolveInfo completes the record in a bridge's folder with the lock of its run, and sets
// current paths.
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

// resolveSide completes a side. Bridges of older versions do not record the version and digest
// of a plugin, and the digests of files, but the locks of their runs do.
func (w *Workspace) resolveSide(side *bridge.Side, locked lockfile.Entry) {
	if side.Plugin != "" && side.PluginDigest == "" && side.Digest == locked.Digest {
		side.PluginVersion, side.PluginDigest, side.PluginParts = locked.PluginVersion, locked.PluginDigest, locked.PluginParts
	}
	if side.Files == nil && !side.AllFiles && side.ID == locked.ID && side.Digest == locked.Digest {
		side.Files, side.AllFiles, side.Activation = locked.Files, locked.AllFiles, locked.Activation
	}
	side.Path, side.Plugin = w.options.Relocations.resolve(side.Path), w.options.Relocations.resolve(side.Plugin)
}

// rejectBundledPlugin returns an error if a bridge's plugin is in the folder of the bridge or
// of its run. A user who opens a model does not expect to run a program that came with it.
func rejectBundledPlugin(folder string, info bridge.Info) error {
	sides := []bridge.Side{info.Vision}
	if info.Language != nil {
		sides = append(sides, *info.Language)
	}
	for _, side := range sides {
		if filepath.IsAbs(side.Plugin) && bridge.Inside(folder, side.Plugin) {
			return adapters.Errorf(adapters.Invalid, "%s contains the plugin of %s, %s: bridge runs no program from a model's folder",
				folder, side.ID, side.Plugin).
				WithRemedy("if you trust it: bridge plugin add %s, then use it with --moved %s=NAME", shell.Path(side.Plugin), shell.Word(side.Plugin))
		}
	}
	return nil
}

// runOf finds the run of a bridge's folder, RUN/bridge or RUN/checkpoints/STEP, and reads its
// lock. For a folder outside any run it returns the folder itself and an empty lock.
func runOf(dir string) (folder string, l lockfile.Lock, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", l, err
	}
	for _, run := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if !isFile(filepath.Join(run, recipes.RunFile)) {
			continue
		}
		l, err := lockfile.ReadProject(filepath.Join(run, lockfile.Name))
		if err != nil || l.Vision.ID != "" { // a lock without models belongs to a project
			return run, l, err
		}
	}
	return dir, l, nil
}

// constraintsOfRun reads the plugin constraints in the recipe of a bridge's run. They apply to
// everyone who uses the bridge. A folder outside any run has no constraints.
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

// constraintsIn reads the constraints in a recipe's table. It ignores other keys, because
// another version of bridge may have written them.
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
		model := strings.ReplaceAll(string(kind), "-", " ")
		return adapters.Errorf(adapters.NotFound, "%s for %s %s not found at %s", what, model, side.ID, path).
			WithRemedy("put it back, or pass its new path: --moved %s=%s", shell.Word(path), remedy)
	}
	if err := check("plugin", side.Plugin, "PATH, or =NAME of one that `bridge plugin list` shows"); err != nil {
		return err
	}
	return check("folder", side.Path, "DIR")
}

// TrainedPlugin returns the record of the plugin that served a side in training.
func TrainedPlugin(side bridge.Side) trust.Trained {
	return trust.Trained{Version: side.PluginVersion, Digest: side.PluginDigest, Parts: side.PluginParts}
}

// ProjectDir returns the working folder, or "" if the system does not know it. Paths inside it
// are stored as relative paths, so that the folder can be moved.
func ProjectDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	return dir
}
