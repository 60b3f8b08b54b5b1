package runs

import (
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/plugins/lockfile"
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

// addProvenance adds the path of a model without a registry id, and the plugin that serves the
// model.
func addProvenance(side *bridge.Side, model registry.Backbone, entry lockfile.Entry) {
	if model.Source == registry.FromFolder {
		side.Path = model.Path
	}
	side.Plugin, side.PluginVersion = entry.Plugin, entry.PluginVersion
	side.PluginDigest, side.PluginParts = entry.PluginDigest, entry.PluginParts
}
