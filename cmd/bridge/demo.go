package main

import (
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
)

func (p *program) demoCommand() *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "swap a language model and retrain, end to end, on the built-in kit",
		UsageText:   "bridge demo [--out DIR] [--backend B] [--set key=value]...",
		Description: "Writes report.html and summary.json. It takes a few minutes on two cores.\n\nExample: bridge demo --out runs/demo",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Value: filepath.Join("runs", "demo"),
				Usage: "`DIR` to write to; an earlier demo in it is replaced"},
			backendFlag(), setFlag(),
		},
		Action: p.demo,
	}
}

func (p *program) demo(c *cli.Context) error {
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	named := []recipes.Override{{Assignment: "name=warm"}}
	demo, err := runs.NewDemo(c.Context, p.workspace, append(named, overrides(c)...))
	if err != nil {
		return err
	}
	p.printIntro(demo)
	out := c.String("out")
	result, err := demo.Run(c.Context, out)
	if err != nil {
		return err
	}
	return p.printDemo(out, result)
}

// printIntro prints which models the demo joins, and how.
func (p *program) printIntro(d *runs.Demo) {
	p.printf("A Q-Former joins two frozen models, each in its own process: the vision encoder %s and a language model.\n"+
		"The bridge %s was trained for %s. The demo swaps in %s and retrains stage 2:\n"+
		"once from that bridge (warm), once from stage 1, %s (cold).\n\n",
		d.Warm.VisionModel.ID, d.Warm.From, d.OldLLM, d.Warm.LanguageModel.ID, d.Cold.From)
}

func (p *program) printDemo(out string, result runs.DemoResult) error {
	for _, s := range result.Samples[:min(5, len(result.Samples))] {
		verdict := ""
		if !s.Right() {
			verdict = "   (correct: " + s.Want + ")"
		}
		p.printf("  %-28s %s%s\n", s.Picture, s.Got, verdict)
	}
	p.printf("\n")
	if err := p.printSummaries(result.Warm.Summary, result.Cold.Summary); err != nil {
		return err
	}
	cost, err := runs.DemoColdCost()
	if err != nil {
		return err
	}
	p.printf("\n")
	for _, line := range cost.Lines() {
		p.printf("%s\n", line)
	}
	warm := result.Warm.Dir
	p.printf("\nReport with pictures and curves: %s\n\nTry next:\n"+
		"  bridge serve %s\n"+
		"  bridge caption %s kit:held-out/17\n"+
		"  bridge ask %s kit:held-out/17 \"what color is the background?\"\n"+
		"  bridge retrain --llm tiny-opt --from %s --out runs/back\n"+
		"  bridge recipes show tiny-stage1\n", filepath.Join(out, runs.ReportFile), shell.Path(warm), shell.Path(warm), shell.Path(warm), shell.Path(warm))
	return nil
}
