package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/recipes"
)

func (p *program) demoCommand() *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "the main job, end to end, on the built-in kit: swap the language model and retrain",
		UsageText:   "bridge demo [--out DIR] [--backend B] [--set key=value]...",
		Description: "Writes report.html and summary.json. It takes a few minutes on two cores.\n\nExample: bridge demo --out runs/demo",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Value: filepath.Join("runs", "demo"), Usage: "`DIR` to write; an earlier demo in it is replaced"},
			backendFlag(), setFlag(),
		},
		Action: p.demo,
	}
}

// demoRecipe is the swap that the demo shows.
const demoRecipe = "tiny-demo"

// demoSummary is the demo's summary.json.
type demoSummary struct {
	Warm    summary `json:"warm"`
	Cold    summary `json:"cold"`
	Encoder string  `json:"encoder"`
	From    string  `json:"from"`
	LLM     string  `json:"llm"`
}

func (p *program) demo(c *cli.Context) error {
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	warm, err := recipes.LoadWith(demoRecipe, append(append(backendSet(c), recipes.Override{Assignment: "name=warm"}), sets(c)...)...)
	if err != nil {
		return err
	}
	baseline, err := p.cold(c.Context, warm)
	if err != nil {
		return err
	}
	baseline.Name = "cold"
	reg, err := p.registry(c.Context)
	if err != nil {
		return err
	}
	resolved, err := warm.Resolve(reg)
	if err != nil {
		return err
	}
	resolvedCold, err := baseline.Resolve(reg)
	if err != nil {
		return err
	}
	if err := p.introduce(c.Context, resolved, resolvedCold); err != nil {
		return err
	}
	return p.inRun(c.Context, c.String("out"), hold, func() error {
		b, err := p.openBench(c.Context, resolved)
		if err != nil {
			return err
		}
		defer b.close()
		return p.demoArms(c.Context, b, c.String("out"), resolved, resolvedCold)
	})
}

// introduce says what the demo joins.
func (p *program) introduce(ctx context.Context, warm, cold *recipes.Resolved) error {
	info, err := p.infoOf(ctx, warm.From)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "A Q-Former joins two frozen models, each in a process of its own: the vision encoder %s and a language model.\n"+
		"The bridge %s was trained for %s. Now the language model is %s, and stage 2 is retrained:\n"+
		"once from that bridge (warm), once from stage 1, %s (cold).\n\n",
		warm.VisionModel.ID, warm.From, info.Language.ID, warm.LanguageModel.ID, cold.From)
	return err
}

func (p *program) demoArms(ctx context.Context, b *bench, out string, both ...*recipes.Resolved) error {
	var arms []arm
	for _, r := range both {
		dir := filepath.Join(out, r.Name)
		err := p.inRun(ctx, dir, claimAnew, func() error {
			o, err := b.train1(ctx, r, dir, false)
			arms = append(arms, arm{r.Name, o})
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	page, err := b.report("The language model swapped: warm against cold", arms)
	if err != nil {
		return err
	}
	page.Footer = "Made by bridge demo on the built-in kit."
	if err := page.WriteFile(filepath.Join(out, reportFile)); err != nil {
		return err
	}
	s := demoSummary{Warm: arms[0].summary, Cold: arms[1].summary, Encoder: both[0].VisionModel.ID, From: both[0].From, LLM: both[0].LanguageModel.ID}
	if err := writeJSON(filepath.Join(out, summaryFile), s); err != nil {
		return err
	}
	return p.printDemo(b, out, arms)
}

func (p *program) printDemo(b *bench, out string, arms []arm) error {
	shown := 0
	for _, caption := range arms[0].result.Samples {
		if shown++; shown > 5 {
			break
		}
		fmt.Fprintf(p.stdout, "  %-28s %s%s\n", b.held.Data.Record(caption.Index).ID, caption.Got, verdict(caption))
	}
	fmt.Fprintln(p.stdout)
	if err := p.printSummaries([]summary{arms[0].summary, arms[1].summary}); err != nil {
		return err
	}
	warm := filepath.Join(out, "warm")
	fmt.Fprintf(p.stdout, "\nThe pictures and curves: %s\n\nWhat to try next:\n"+
		"  bridge caption %s kit:held-out/17\n"+
		"  bridge ask %s kit:held-out/17 \"what color is the background?\"\n"+
		"  bridge retrain --llm tiny-opt --from %s --out runs/back\n"+
		"  bridge recipes show tiny-stage1\n", filepath.Join(out, reportFile), warm, warm, warm)
	return nil
}

func verdict(c eval.Caption) string {
	if c.Right() {
		return ""
	}
	return "   (it is " + c.Want + ")"
}
