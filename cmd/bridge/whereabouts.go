package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/registry"
)

// A bridge names what it was trained with. Where that lies, and what it was, is
// written and read here.

// visionSide is the encoder that is trained with.
func (b *bench) visionSide() (bridge.Side, error) {
	l, err := b.lock()
	side := bridge.VisionSide(b.vision.Spec())
	record(&side, b.recipe.VisionModel, l.Vision)
	return side, err
}

// languageSide is the language model that is trained with.
func (b *bench) languageSide() (bridge.Side, error) {
	l, err := b.lock()
	side := bridge.LanguageSide(b.language.Spec())
	if err != nil {
		return side, err
	}
	record(&side, *b.recipe.LanguageModel, *l.Language)
	side.TokenizerDigest, err = wordsDigest(*b.recipe.LanguageModel)
	return side, err
}

// record notes what finds a model again that no registry id names, and what its
// plugin is.
func record(side *bridge.Side, model registry.Backbone, entry lockfile.Entry) {
	if model.Source == registry.FromFolder {
		side.Path = model.Path
	}
	side.Plugin, side.PluginVersion, side.PluginDigest, side.PluginParts = entry.Plugin, entry.PluginVersion, entry.PluginDigest, entry.PluginParts
}

// settleInfo completes what was read of the bridge in a folder: with what the run
// that it lies in has recorded, and where the command line says things are now.
func (p *program) settleInfo(dir string, info *bridge.Info) error {
	run, l, err := runOf(dir)
	if err != nil {
		return err
	}
	p.settleSide(&info.Vision, l.Vision)
	if info.Language != nil {
		language := *info.Language
		entry := lockfile.Entry{}
		if l.Language != nil {
			entry = *l.Language
		}
		p.settleSide(&language, entry)
		info.Language = &language
	}
	info.Stage1 = p.moved.now(info.Stage1)
	return bringsNone(run, *info)
}

// bringsNone refuses a bridge whose plugin lies in the folder that it was read from,
// or in its run's: who opens a model does not mean to run a program that came with it.
func bringsNone(folder string, info bridge.Info) error {
	sides := []bridge.Side{info.Vision}
	if info.Language != nil {
		sides = append(sides, *info.Language)
	}
	for _, side := range sides {
		if filepath.IsAbs(side.Plugin) && bridge.Inside(folder, side.Plugin) {
			return adapters.Errorf(adapters.Invalid, "the bridge in %s brings the plugin of %s along, %s: a model's folder has no programs to run", folder, side.ID, side.Plugin).
				WithRemedy("if you trust it, `bridge plugin add %s` it, and name it with --moved %s=NAME", side.Plugin, side.Plugin)
		}
	}
	return nil
}

// settleSide completes a side. Bridges of older versions do not say what a plugin
// was; the locks of their runs do.
func (p *program) settleSide(side *bridge.Side, recorded lockfile.Entry) {
	if side.Plugin != "" && side.PluginDigest == "" && side.Digest == recorded.Digest {
		side.PluginVersion, side.PluginDigest, side.PluginParts = recorded.PluginVersion, recorded.PluginDigest, recorded.PluginParts
	}
	side.Path, side.Plugin = p.moved.now(side.Path), p.moved.now(side.Plugin)
}

// runOf finds the run that a bridge's folder lies in, RUN/bridge or
// RUN/checkpoints/STEP, and reads its lock. Of a folder in no run it returns the
// folder and an empty lock.
func runOf(dir string) (folder string, l lockfile.Lock, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", l, err
	}
	for _, run := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if !isFile(filepath.Join(run, recipeFile)) {
			continue
		}
		l, err := lockfile.ReadProject(filepath.Join(run, lockfile.Name))
		if err != nil || l.Vision.ID != "" { // else it is a project's
			return run, l, err
		}
	}
	return dir, l, nil
}

// wishesOf reads what the recipe of a bridge's run asks of its plugins: it holds for
// whoever uses the bridge, too. Of a folder in no run nothing is asked.
func wishesOf(dir string) (vision, language wishes, err error) {
	run, l, err := runOf(dir)
	if err != nil || l.Vision.ID == "" {
		return vision, language, err
	}
	doc, err := stricttoml.Read(filepath.Join(run, recipeFile))
	if err != nil {
		return vision, language, err
	}
	return wishesIn(doc, "vision"), wishesIn(doc, "language"), nil
}

// wishesIn reads those of a recipe's table. Of a recipe that another version of bridge
// has resolved the other keys need not be known.
func wishesIn(doc *stricttoml.Document, table string) (w wishes) {
	if v, ok := doc.Value(table + ".locked"); ok {
		w.locked = v == true
	}
	if v, ok := doc.Value(table + ".sandbox"); ok && v == string(trust.SandboxOn) {
		w.sandbox = trust.SandboxOn
	}
	names, _ := doc.Value(table + ".environment")
	list, _ := names.([]any)
	for _, name := range list {
		if text, ok := name.(string); ok {
			w.environment = append(w.environment, text)
		}
	}
	return w
}

// ask adds to an opening what a run's recipe asks.
func (o *opening) ask(w wishes) {
	w.trained = o.wishes.trained
	o.wishes = w
}

// readInfo reads what the bridge in a folder was trained with.
func (p *program) readInfo(dir string) (bridge.Info, error) {
	info, _, err := bridge.ReadInfo(dir)
	if err != nil {
		return info, err
	}
	return info, p.settleInfo(dir, &info)
}

// there says of a side's model or plugin that is not where it was what to do.
func there(side bridge.Side, kind adapters.ModelKind) error {
	gone := func(what, path, remedy string) error {
		if _, err := os.Stat(path); path == "" || err == nil || what == "plugin" && !strings.Contains(path, "/") {
			return nil
		}
		return adapters.Errorf(adapters.NotFound, "the %s of the bridge's %s %s is not there: %s", what, kind, side.ID, path).
			WithRemedy("put it back, or say where it is now: --moved %s=%s", path, remedy)
	}
	if err := gone("plugin", side.Plugin, "PATH, or =NAME of one that `bridge plugin list` shows"); err != nil {
		return err
	}
	return gone("folder", side.Path, "DIR")
}

// moves are folders and files that lie elsewhere than they did: the pairs of --moved.
type moves [][2]string

func movedFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "moved", Usage: "`OLD=NEW`: what a run names by a path at or below OLD lies at or below NEW now, both from the working folder or absolute; may be repeated"}
}

// parseMoves reads the flag's values.
func parseMoves(values []string) (moves, error) {
	var all moves
	for _, v := range values {
		was, is, ok := strings.Cut(v, "=")
		if !ok || was == "" || is == "" {
			return nil, usagef("--moved is %q, want OLD=NEW", v)
		}
		was, err := filepath.Abs(was) // as runs are read: what they name from their project is absolute then
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(is, `/\`) || isDir(is) {
			abs, err := filepath.Abs(is)
			if err != nil {
				return nil, err
			}
			is = abs
		}
		all = append(all, [2]string{was, is})
	}
	return all, nil
}

// now returns where a path that was recorded is.
func (m moves) now(path string) string {
	for _, pair := range m {
		if from, err := filepath.Rel(pair[0], path); filepath.IsAbs(path) && err == nil && filepath.IsLocal(from) {
			if from == "." {
				return pair[1]
			}
			return filepath.Join(pair[1], from)
		}
	}
	return path
}

// trainedWith is the plugin behind a side as it was in training.
func trainedWith(side bridge.Side) trust.Trained {
	return trust.Trained{Version: side.PluginVersion, Digest: side.PluginDigest, Parts: side.PluginParts}
}

// projectFolder is the working folder: paths in it are written so that it can be
// moved. It is empty where the system does not name it.
func projectFolder() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	return dir
}
