package main

import (
	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/plugins"
)

func (p *program) adapterCommand() *cli.Command {
	c := group("adapter", "processes that bridge starts for its built-in adapters", &cli.Command{
		Name: "serve", Usage: "serve a built-in adapter family to the host that started this process", ArgsUsage: "FAMILY",
		UsageText:   "bridge adapter serve FAMILY",
		Description: "Example: bridge adapter serve opt\nNot for use by hand: bridge starts it itself.",
		Action:      p.adapterServe,
	}, &cli.Command{
		Name: "host", Usage: "run as the host process that `bridge plugin test` kills", UsageText: "bridge adapter host",
		Description: "Example: bridge adapter host\nNot for use by hand: bridge starts it itself.", Action: p.adapterHost,
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
	for _, f := range builtin.Families() {
		if f.Name == args[0] {
			err := plugins.ServeWith(plugins.ServeConfig{Families: []adapters.Family{f}, Name: f.Name})
			if adapters.KindOf(err) == adapters.Invalid { // no host started this process
				return usageError{err.Error()}
			}
			return err
		}
		names = append(names, f.Name)
	}
	return usagef("no adapter family %q%s (the families are %s)", args[0], didyoumean.Hint(args[0], names), joinOrNone(names))
}
