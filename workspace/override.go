package workspace

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/plugins/store"
)

// overrideAdapters replaces the adapters that a bridge was trained with by the plugins in the
// options. The frozen models stay the same.
func (w *Workspace) overrideAdapters(info bridge.Info, o OpenOptions) (bridge.Info, error) {
	var err error
	if info.Vision, err = w.overrideAdapter(info.Vision, adapters.KindVision, o.EncoderPlugin); err != nil || info.Language == nil {
		return info, err
	}
	language, err := w.overrideAdapter(*info.Language, adapters.KindLanguage, o.LLMPlugin)
	info.Language = &language
	return info, err
}

// overrideAdapter returns a side that a plugin serves. The plugin gets the folder of the side's
// model.
func (w *Workspace) overrideAdapter(side bridge.Side, kind adapters.ModelKind, plugin string) (bridge.Side, error) {
	if plugin == "" {
		return side, nil
	}
	if _, err := store.Default().Find(plugin); err != nil {
		return side, err
	}
	if side.Path == "" && side.Plugin == "" {
		reg, err := w.Registry()
		if err != nil {
			return side, err
		}
		model, err := reg.LookupKind(side.ID, kind)
		if err != nil {
			return side, err
		}
		if side.Path, err = model.Folder(); err != nil {
			return side, err
		}
	}
	if side.Plugin == "" { // a plugin may read more files than were recorded
		side.AllFiles = false
	}
	side.Plugin, side.PluginVersion, side.PluginDigest, side.PluginParts = plugin, "", "", nil
	return side, nil
}
