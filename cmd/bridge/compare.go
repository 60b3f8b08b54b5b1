package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
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
	var all comparison
	out := c.String("out")
	for _, arg := range args {
		if err := p.gather(c.Context, &all, arg, &out, backendSet(c)); err != nil {
			return err
		}
	}
	if len(all.runs) == 0 {
		return fmt.Errorf("nothing to compare: every run failed (%d)", len(all.failed))
	}
	if err := p.printComparison(c.Bool("json"), &all); err != nil {
		return err
	}
	if out != "" {
		if err := p.reportComparison(&all, out); err != nil {
			return err
		}
		if !c.Bool("json") {
			fmt.Fprintf(p.stdout, "\nreport: %s\n", filepath.Join(out, reportFile))
		}
	}
	if len(all.failed) > 0 {
		return fmt.Errorf("%d of %d runs failed: the first, %s: %v", len(all.failed), len(all.failed)+len(all.runs), all.failed[0].Name(), all.failed[0].err)
	}
	return nil
}

// gather adds what an argument names to the comparison. Where it is trained first
// and there is no folder yet, out becomes one of its name.
func (p *program) gather(ctx context.Context, all *comparison, arg string, out *string, more []recipes.Override) error {
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		return all.add(filepath.Base(arg), "", false, arg)
	}
	if recipes.IsMatrix(arg) {
		m, err := recipes.LoadMatrix(arg)
		if err != nil {
			return err
		}
		setDefault(out, m.Name)
		runs, err := p.runMatrix(ctx, m, *out, more)
		if err != nil {
			return err
		}
		return all.addCells(m, runs)
	}
	r, err := recipes.LoadWith(arg, more...)
	if err != nil {
		if adapters.KindOf(err) == adapters.NotFound {
			return adapters.Errorf(adapters.NotFound, "%s is neither the folder of a run, nor a recipe, nor a matrix", arg).
				WithRemedy("name a run folder, a recipe (bridge recipes list), or a TOML file of encoders, llms and options")
		}
		return err
	}
	setDefault(out, r.Name)
	dir := filepath.Join(*out, r.Name)
	if err := p.runRecipe(ctx, r, dir); err != nil {
		return err
	}
	return all.add(r.Name, "", false, dir)
}

func setDefault(out *string, name string) {
	if *out == "" {
		*out = filepath.Join("runs", name)
	}
}

// runRecipe trains a recipe where its run is not there yet.
func (p *program) runRecipe(ctx context.Context, recipe *recipes.Recipe, dir string) error {
	reg, err := p.registry(ctx)
	if err != nil {
		return err
	}
	r, err := recipe.Resolve(reg)
	if err != nil {
		return err
	}
	_, err = p.finish(ctx, r, dir)
	return err
}

// summaryHeader names the columns of [summary.cells].
func summaryHeader() []string {
	return []string{"run", "encoder", "llm", "trainable", "steps", "seconds", "held-out loss", "exact match", "retrieval R@1"}
}

func (s summary) cells() []string {
	return []string{s.Name, s.Encoder, orDash(s.LLM), registry.Count(int64(s.Trainable)), strconv.Itoa(s.Steps),
		fmt.Sprintf("%.0f", s.Seconds), decimals(s.HeldOut), decimals(s.ExactMatch), decimals(s.RetrievalT)}
}

func (p *program) printSummaries(all []summary) error {
	var rows [][]string
	for _, s := range all {
		rows = append(rows, s.cells())
	}
	return p.table(summaryHeader(), rows)
}

func decimals(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f", *v)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
