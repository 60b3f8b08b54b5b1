package main

import (
	"fmt"
	"path/filepath"

	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/comparison"
	"github.com/urfave/cli/v2"
)

func (p *program) compareCommand() *cli.Command {
	return &cli.Command{
		Name: "compare", Usage: "compare runs in a table, after training those that are missing",
		ArgsUsage: "RUN|RECIPE|MATRIX.toml...",
		UsageText: "bridge compare RUN|RECIPE|MATRIX.toml... [--out DIR] [--backend B] [--json]",
		Description: "A RUN is the folder of a finished run. A RECIPE is trained if DIR does not contain its run yet. A MATRIX.toml\n" +
			"lists encoders, language models, options and seeds, and every combination is trained. Interrupted runs continue, and\n" +
			"a failed run does not stop the others. The result is one table, and DIR/report.html with curves, pictures and a\n" +
			"recommendation.\n\nExample: bridge compare runs/demo/warm runs/demo/cold",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out",
				Usage: "`DIR` for the report and for new runs (default: runs/ and the name of the first matrix or recipe; " +
					"if there are only finished runs, no report is written without --out)"},
			backendFlag(), jsonFlag(),
		},
		Action: p.compare,
	}
}

func (p *program) compare(c *cli.Context) error {
	args, err := arguments(c, 1, -1)
	if err != nil {
		return err
	}
	all, out, err := comparison.Gather(c.Context, p.workspace, args, c.String("out"), overrides(c))
	if err != nil {
		return err
	}
	if len(all.Variants) == 0 {
		return all.Err()
	}
	if err := p.printComparison(c.Bool("json"), all); err != nil {
		return err
	}
	if out != "" {
		if err := all.WriteReport(p.workspace, out); err != nil {
			return err
		}
		if !c.Bool("json") {
			fmt.Fprintf(p.stdout, "\nreport: %s\n", filepath.Join(out, runs.ReportFile))
		}
	}
	return all.Err()
}

func (p *program) printComparison(asJSON bool, c *comparison.Comparison) error {
	if asJSON {
		for _, line := range c.Lines() {
			if err := p.printJSON(line); err != nil {
				return err
			}
		}
		return nil
	}
	t := c.Table()
	if err := p.table(t.Header, t.Rows); err != nil {
		return err
	}
	if t := c.SpeedupTable(); len(t.Rows) > 0 {
		fmt.Fprintln(p.stdout)
		if err := p.table(t.Header, t.Rows); err != nil {
			return err
		}
	}
	if advice := c.Advice(); advice != "" && len(c.Variants) > 1 {
		fmt.Fprintf(p.stdout, "\n%s\n", advice)
	}
	return nil
}
