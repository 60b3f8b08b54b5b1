package main

import (
	"github.com/modular-bridging/bridge/runs"
	"github.com/urfave/cli/v2"
)

func (p *program) retrainCommand() *cli.Command {
	return &cli.Command{
		Name: "retrain", Usage: "swap the language model of a bridge, its vision encoder, or both, and retrain stage 2",
		UsageText: "bridge retrain --llm ID [--encoder ID] [--from MODEL] [--recipe FILE] [--set key=value]... [--cold] [--out RUN] [--resume]",
		Description: "For a new language model the projection is carried over through the tokens that both models share, warmed up, and\n" +
			"tuned with the Q-Former. For a new encoder cross-attention is carried over through the encoders' features.\n" +
			"What it trains on, and how long, is what --recipe says. Without one it is the data of the run that --from names, for a\n" +
			"quarter of its steps, a quarter of those as warm-up; a run that was a swap itself is repeated as it was.\n\n" +
			"Example: bridge retrain --llm tiny-flan-t5 --out runs/swap",
		Flags: append(runFlags(),
			&cli.StringFlag{Name: "llm", Usage: "`ID` of the new language model (default, with --encoder: the old one)"},
			&cli.StringFlag{Name: "encoder", Usage: "`ID` of the new vision encoder (default: the old one)"},
			&cli.StringFlag{Name: "from", Usage: "`MODEL` that is changed (default: the recipe's)"},
			&cli.StringFlag{Name: "recipe", Usage: "`FILE` or name of the recipe to follow (default: the run's; for the kit's bridges " + runs.RetrainRecipe + ")"},
			&cli.BoolFlag{Name: "cold", Usage: "start from the stage-1 bridge with a fresh projection: the baseline"}),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if c.String("llm") == "" && c.String("encoder") == "" {
				return usagef("bridge retrain: missing --llm ID, the language model to swap in, or --encoder ID (bridge models list)")
			}
			swap := runs.Swap{From: c.String("from"), LLM: c.String("llm"), Encoder: c.String("encoder"), Recipe: c.String("recipe"),
				Cold: c.Bool("cold"), Overrides: overrides(c)}
			out, err := runs.Retrain(c.Context, p.workspace, swap, runOptions(c))
			if err != nil {
				return err
			}
			return p.printOutcome(c.Bool("json"), out)
		},
	}
}
