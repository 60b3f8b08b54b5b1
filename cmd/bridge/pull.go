package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/workspace"
)

func (p *program) pullCommand() *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "download a model from the Hugging Face hub", ArgsUsage: "ID",
		UsageText: "bridge models pull ID [--revision REV] [--files PATTERN]... [--json]",
		Description: "ID is a registry id, or a repository OWNER/NAME. Files are kept in the cache of Hugging Face's own tools and\n" +
			"checked against the hub's checksums. An interrupted pull resumes where it stopped. HF_HOME, HF_HUB_CACHE,\n" +
			"HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE have the same meaning as in these tools.\n\n" +
			"Example: bridge models pull flant5-xl",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "revision", Usage: "branch, tag or commit `REV` (default: the manifest's)"},
			&cli.StringSliceFlag{Name: "files",
				Usage: "download only files that match `PATTERN`; may be repeated (default: the manifest's)"},
			jsonFlag(),
		},
		Action: p.modelsPull,
	}
}

func (p *program) modelsPull(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	pulled, err := p.workspace.Pull(c.Context, args[0], workspace.PullOptions{
		Revision: c.String("revision"), Files: c.StringSlice("files"), Output: p.stderr})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(map[string]any{"id": pulled.ID, "repository": pulled.Repository, "revision": pulled.Revision,
			"commit": pulled.Commit, "path": pulled.Dir})
	}
	fmt.Fprintln(p.stdout, pulled.Dir)
	if other := pulled.Other; other != nil {
		fmt.Fprintf(p.stderr, "%s is still %s; to use the downloaded files: bridge models add %s --path %s\n",
			pulled.ID, weightsLocation(*other), pulled.ID, pulled.Dir)
	}
	return nil
}
