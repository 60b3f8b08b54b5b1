package main

import (
	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/registry"
)

// A trained bridge goes through whatever adapter serves its frozen models: one that
// gives no gradient, a server's for instance, is good for captions and answers.

// adapterFlags name other adapters for a bridge's frozen models.
func adapterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "encoder-plugin", Usage: "`PLUGIN`, a name or path, that serves the bridge's own vision encoder instead of the adapter that it was trained with"},
		&cli.StringFlag{Name: "llm-plugin", Usage: "`PLUGIN`, a name or path, that serves the bridge's own language model instead of the adapter that it was trained with"},
	}
}

// otherAdapters puts the adapters that the command line names into what a bridge is
// joined of.
func otherAdapters(c *cli.Context, reg *registry.Registry, info bridge.Info) (bridge.Info, error) {
	var err error
	if info.Vision, err = otherAdapter(reg, info.Vision, adapters.KindVision, c.String("encoder-plugin")); err != nil || info.Language == nil {
		return info, err
	}
	language, err := otherAdapter(reg, *info.Language, adapters.KindLanguage, c.String("llm-plugin"))
	info.Language = &language
	return info, err
}

// otherAdapter is the side behind a plugin, which is given the folder of its model.
func otherAdapter(reg *registry.Registry, side bridge.Side, kind adapters.ModelKind, plugin string) (bridge.Side, error) {
	if plugin == "" {
		return side, nil
	}
	if _, err := store.Default().Find(plugin); err != nil {
		return side, err
	}
	if side.Path == "" && side.Plugin == "" {
		model, err := reg.LookupKind(side.ID, kind)
		if err != nil {
			return side, err
		}
		if side.Path, err = model.Folder(); err != nil {
			return side, err
		}
	}
	side.Plugin, side.PluginVersion, side.PluginDigest, side.PluginParts = plugin, "", "", nil
	return side, nil
}
