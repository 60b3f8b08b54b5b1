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
		Name: "compare", Usage: "put combinations side by side, and train those that are not trained yet", ArgsUsage: "RUN|RECIPE|MATRIX.toml...",
		UsageText: "bridge compare RUN|RECIPE|MATRIX.toml... [--out DIR] [--backend B] [--json]",
		Description: "A RUN is the folder of a finished run. A RECIPE is trained where DIR does not hold its run yet. A MATRIX.toml names\n" +
			"encoders, language models, options and seeds, all of which are trained; what was interrupted goes on, what failed does\n" +
			"not end the rest. Then one table, and DIR/report.html with curves, pictures and what to choose.\n\n" +
			"Example: bridge compare runs/demo/warm runs/demo/cold",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Usage: "`DIR` for the report and for what is trained (default: runs/ and the first matrix's or recipe's name; finished runs alone make no report without it)"},
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
		return fmt.Errorf("nothing to compare: every run failed (%d)", len(all.Failed))
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
	if failed := all.Failed; len(failed) > 0 {
		return fmt.Errorf("%d of %d runs failed: the first, %s: %v", len(failed), len(failed)+len(all.Runs()), failed[0].Name(), failed[0].Err)
	}
	return nil
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
