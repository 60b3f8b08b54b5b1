package main

import (
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/comparison"
	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/workspace"
)

func (p *program) compareCommand() *cli.Command {
	return &cli.Command{
		Name: "compare", Usage: "compare runs in a table, after training those that are missing",
		ArgsUsage: "RUN|RECIPE|MATRIX.toml|NAME.results.json...",
		UsageText: "bridge compare RUN|RECIPE|MATRIX.toml|NAME.results.json... [--tasks TASK,...] [--data DIR] [--out DIR] [--results FILE] " +
			"[--only OPTION]... [--limit N] [--against OPTION[@BUDGET]] [--backend B] [--json]",
		Description: "A RUN is the folder of a finished run. A RECIPE is trained if DIR does not contain its run yet. A MATRIX.toml\n" +
			"lists encoders, language models, options and seeds, and every combination is trained. Interrupted runs continue, and\n" +
			"a failed run does not stop the others. The result is one table, and DIR/report.html with curves, pictures and a\n" +
			"recommendation.\n\n" +
			"If the matrix has a table [ladder], its options run with several budgets, the cheapest first. The baseline climbs until it\n" +
			"has converged. The tables then say which fraction of its cost C each option needs to be not inferior to it, with 95 %\n" +
			"intervals (docs/swapping.md has the method). DIR/NAME.results.json keeps the result of each run in a few hundred bytes.\n" +
			"compare makes the tables from such files alone, and merges files of one matrix that several machines have written.\n\n" +
			"With --against, the table of quality compares each option and budget with the runs that you name, over the same seeds and\n" +
			"pictures, in place of the baseline's highest budget: --against cold@800. The table's column budget has the budgets.\n\n" +
			"With --tasks, every run is also evaluated on benchmarks (bridge eval list), except runs of ladders. Its results are in\n" +
			"RUN/eval, and are used again.\n\n" +
			"Example: bridge compare runs/demo/warm runs/demo/cold",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out",
				Usage: "`DIR` for the report and for new runs (default: runs/ and the name of the first matrix or recipe; " +
					"if there are only finished runs, no report is written without --out)"},
			&cli.StringFlag{Name: "tasks", Usage: "`NAMES` of benchmarks with commas, whose figures stand beside loss and cost"},
			dataFlag(),
			&cli.StringFlag{Name: "results",
				Usage: "`FILE` with results of a ladder: its runs are not trained again, and new results are added to it"},
			&cli.StringSliceFlag{Name: "only", Usage: "train the runs of this `OPTION` of a ladder alone (may be repeated); of the others, finished runs count"},
			&cli.IntFlag{Name: "limit", DefaultText: "no limit", Usage: "train at most `N` runs of a ladder, then compare what there is"},
			&cli.StringFlag{Name: "against", Usage: "compare a ladder's options with `OPTION@BUDGET` in place of Q*; BUDGET is in steps at the baseline's batch, as in the table; " +
				"without @BUDGET, with the option's highest budget"},
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
	o := comparison.Options{Out: c.String("out"), Overrides: overrides(c), Results: c.String("results"), Only: c.StringSlice("only"),
		Eval: runs.EvalOptions{Tasks: strings.FieldsFunc(c.String("tasks"), func(r rune) bool { return r == ',' || r == ' ' }), Data: c.String("data"),
			Open: workspace.OpenOptions{Backend: c.String("backend")}}}
	if c.IsSet("limit") {
		o.Limit = new(c.Int("limit"))
	}
	if c.IsSet("against") {
		if o.Against, err = ladder.ParseRungName(c.String("against")); err != nil {
			return usagef("--against: %v", err)
		}
	}
	all, out, err := comparison.Gather(c.Context, p.workspace, args, o)
	if err != nil {
		return err
	}
	if all.Empty() {
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
			p.printf("\nreport: %s\n", filepath.Join(out, runs.ReportFile))
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
	for i, t := range c.Tables() {
		if i > 0 {
			p.printf("\n")
		}
		if t.Title != "" {
			p.printf("%s\n", t.Title)
		}
		if err := p.table(t.Header, t.Rows); err != nil {
			return err
		}
	}
	for _, s := range c.Sentences() {
		p.printf("\n%s\n", s)
	}
	return nil
}
