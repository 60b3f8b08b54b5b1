package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/workspace"
)

func (p *program) verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "run the golden cases of a folder and compare the results with the reference's numbers", ArgsUsage: "DIR",
		UsageText: "bridge verify DIR [--backend B] [--isolation process|none] [--transport auto|shared-memory|grpc] " +
			"[--plugin NAME] [--json]",
		Description: "Example: bridge verify adapters/opt/testdata/golden-pre-norm --isolation none",
		Flags: []cli.Flag{backendFlag(), isolationFlag(), transportFlag(), jsonFlag(),
			&cli.StringFlag{Name: "plugin",
				Usage: "`NAME` of a third-party adapter to run the cases with, or the path of its folder or executable"}},
		Action: p.verify,
	}
}

func (p *program) verify(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	folder, err := golden.Open(args[0])
	if err != nil {
		return err
	}
	results, err := p.workspace.Verify(c.Context, folder, workspace.VerifyOptions{
		Backend: c.String("backend"), Isolation: c.String("isolation"), Transport: c.String("transport"), Plugin: c.String("plugin")})
	if err != nil {
		return err
	}
	if err := p.printResults(c.Bool("json"), results); err != nil {
		return err
	}
	if !golden.OK(results) {
		return fmt.Errorf("%s: cases differ from the reference's numbers (%s)", folder.Dir, folder.Source)
	}
	return nil
}

func (p *program) printResults(asJSON bool, results []golden.Result) error {
	if !asJSON {
		return golden.WriteTable(p.stdout, results)
	}
	for _, r := range results {
		if err := p.printJSON(r); err != nil {
			return err
		}
	}
	return nil
}
