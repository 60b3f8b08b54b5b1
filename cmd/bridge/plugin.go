package main

import "github.com/urfave/cli/v2"

func (p *program) pluginCommand() *cli.Command {
	return group("plugin", "adapters of your own: make, build, test and trust them",
		p.pluginNewCommand(), p.pluginBuildCommand(), p.pluginTestCommand())
}
