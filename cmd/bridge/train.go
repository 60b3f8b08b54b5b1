package main

import (
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/runs"
)

func (p *program) trainCommand() *cli.Command {
	return &cli.Command{
		Name: "train", Usage: "train a bridge from a recipe", ArgsUsage: "RECIPE",
		UsageText: "bridge train RECIPE [--set key=value]... [--out RUN] [--resume] [--backend B]",
		Description: "RECIPE is a file, or the name of a built-in recipe (bridge recipes list).\n\n" +
			"Example: bridge train tiny-stage1 --set optimizer.steps=200 --out runs/mine",
		Flags: runFlags(),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1)
			if err != nil {
				return err
			}
			r, err := p.resolve(args[0], overrides(c))
			if err != nil {
				return err
			}
			out, err := runs.Train(c.Context, p.workspace, r, runOptions(c))
			if err != nil {
				return err
			}
			return p.printOutcome(c.Bool("json"), out)
		},
	}
}

// runOptions reads the flags of commands that write a run folder.
func runOptions(c *cli.Context) runs.Options {
	return runs.Options{Dir: c.String("out"), Resume: c.Bool("resume")}
}

// printOutcome prints the results of a run.
func (p *program) printOutcome(asJSON bool, out runs.Outcome) error {
	if asJSON {
		return p.printJSON(out.Summary)
	}
	if err := p.printSummaries(out.Summary); err != nil {
		return err
	}
	if text := out.Summary.UntilText(); text != "" {
		p.printf("\n%s\n", text)
	}
	p.printf("\nrun:    %s\nreport: %s\n", out.Dir, filepath.Join(out.Dir, runs.ReportFile))
	return nil
}

func (p *program) printSummaries(all ...runs.Summary) error {
	var rows [][]string
	for _, s := range all {
		rows = append(rows, s.Cells())
	}
	return p.table(runs.SummaryHeader(), rows)
}
