package main

import (
	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/nearest"
	"github.com/modular-bridging/bridge/plugins"
)

func (p *program) adapterCommand() *cli.Command {
	c := group("adapter", "what the host starts for a built-in adapter", &cli.Command{
		Name: "serve", Usage: "serve a built-in adapter family to the host that started this process", ArgsUsage: "FAMILY",
		UsageText: "bridge adapter serve FAMILY", Description: "Example: bridge adapter serve opt\nNot for use by hand: bridge starts it itself.",
		Action: p.adapterServe,
	})
	c.Hidden = true
	return c
}

func (p *program) adapterServe(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	var names []string
	for _, f := range builtin() {
		if f.Name == args[0] {
			return plugins.ServeWith(plugins.ServeConfig{Families: []adapters.Family{f}, Name: f.Name})
		}
		names = append(names, f.Name)
	}
	return usagef("no adapter family %q%s (there are %s)", args[0], nearest.Hint(args[0], names), list(names))
}
