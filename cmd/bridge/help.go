package main

import (
	"slices"

	"github.com/urfave/cli/v2"
)

// helpCommand replaces the help command of urfave/cli, whose texts have another style. It does
// the same as --help after the command's name.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "show all commands, or the help of one", ArgsUsage: "[COMMAND...]",
		UsageText:   "bridge help [COMMAND...]",
		Description: "Example: bridge help models show",
		Action: func(c *cli.Context) error {
			args, err := reorder(c.App, slices.Concat([]string{"bridge"}, c.Args().Slice(), []string{"--help"}))
			if err != nil {
				return err
			}
			return c.App.RunContext(c.Context, args)
		},
	}
}
