package runs

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/workspace"
)

// This file records which frozen models and plugins a bridge is trained with.

// visionSide returns the record of the run's encoder.
func (res *resources) visionSide() (bridge.Side, error) {
	l, err := res.lock()
	side := bridge.VisionSide(res.vision.Spec())
	addProvenance(&side, res.recipe.VisionModel, l.Vision)
	return side, err
}

// languageSide returns the record of the run's language model.
func (res *resources) languageSide() (bridge.Side, error) {
	l, err := res.lock()
	side := bridge.LanguageSide(res.language.Spec())
	if err != nil {
		return side, err
	}
	addProvenance(&side, *res.recipe.LanguageModel, *l.Language)
	side.TokenizerDigest, err = workspace.TokenizerDigest(*res.recipe.LanguageModel)
	return side, err
}

// warnLanguageChanges warns if the language model is the one that the starting bridge was trained
// with, except for some files. was is nil if that bridge has no language model.
func (res *resources) warnLanguageChanges(was *bridge.Side, now bridge.Side) {
	if was != nil && was.Digest == now.Digest {
		res.workspace.WarnChanges(adapters.KindLanguage, *was, *res.locked.Language) // languageSide has read the lock
	}
}

// addProvenance adds the path of a model without a registry id, and the plugin that serves the
// model.
func addProvenance(side *bridge.Side, model registry.Backbone, entry lockfile.Entry) {
	if model.Source == registry.FromFolder {
		side.Path = model.Path
	}
	side.Plugin, side.PluginVersion = entry.Plugin, entry.PluginVersion
	side.PluginDigest, side.PluginParts = entry.PluginDigest, entry.PluginParts
	side.Files, side.AllFiles, side.Activation = entry.Files, entry.AllFiles, entry.Activation
}

// startDigest returns the digest of the weights that a recipe starts from: those of a bridge, or
// of a text model and its tokenizer. It is empty if they are not on this machine.
func startDigest(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved) (string, error) {
	if r.From != "" {
		dir, err := w.BridgeDir(ctx, r.From)
		if err != nil {
			return "", ignoreMissing(err)
		}
		digest, err := bridge.Digest(dir)
		return digest, ignoreMissing(err)
	}
	path, err := tokenizerFile(ctx, w, r.QFormer.Tokenizer)
	if err != nil {
		return "", err
	}
	tokenizer, err := weights.FileDigest(path)
	if err != nil || r.QFormer.Init == "" {
		return tokenizer, ignoreMissing(err)
	}
	dir, err := snapshot(w, r.QFormer.Init)
	if err != nil {
		return "", err
	}
	folder, err := weights.Open(dir)
	if err != nil {
		return "", ignoreMissing(err)
	}
	text, err := folder.Digest()
	return text + " " + tokenizer, errors.Join(err, folder.Close())
}

// ignoreMissing returns nil for a file that does not exist. Opening it reports the error later.
func ignoreMissing(err error) error {
	if adapters.KindOf(err) == adapters.NotFound {
		return nil
	}
	return err
}

// warnChangedModels warns if a run that cannot be opened again has other frozen models than when
// it was started. The warning names the files, because the change may be the reason.
func warnChangedModels(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, dir string) {
	recorded, err := lockfile.ReadProject(filepath.Join(dir, lockfile.Name))
	if err != nil || recorded.Vision.ID == "" {
		return // no warning of an error beside the error
	}
	now, found, err := newReuse(w).presentLock(ctx, r)
	if err != nil || !found {
		return
	}
	now.Start = recorded.Start
	if err := recorded.CheckPresent(now); err != nil {
		w.Log().Warn("the run cannot be opened, and its models have changed", "error", err)
	}
}
