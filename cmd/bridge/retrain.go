package main

import (
	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/runs"
)

func (p *program) retrainCommand() *cli.Command {
	return &cli.Command{
		Name: "retrain", Usage: "swap the language model of a bridge, its vision encoder, or both, and retrain stage 2",
		UsageText: "bridge retrain --llm ID [--encoder ID] [--from MODEL] [--recipe FILE] [--set key=value]... [--cold] " +
			"[--until old|\"METRIC VALUE\"] [--out RUN] [--resume]",
		Description: "For a new language model, bridge transfers the projection through words, and tunes it together with the Q-Former.\n" +
			"A bridge that speaks in words keeps them. If words are not possible, because a model shows no token embeddings or\n" +
			"both know too few words, it uses the tokens that both models share, and says so. For a new encoder, it transfers\n" +
			"cross-attention through the encoders' features, and keeps the projection.\n" +
			"--recipe sets the data and the number of steps. Without it, training uses the data of the run in --from, for a\n" +
			"sixteenth of its examples, in batches a sixteenth as large (at least 4). If that run was a swap itself, its settings\n" +
			"are used unchanged.\n\n" +
			"--until ends training before the recipe's last step: at an evaluation that reaches a value, or if five in a row do\n" +
			"not come nearer. \"old\" is the exact match of the old bridge with its own language model on the same held-out\n" +
			"pictures, or its CIDEr-D if few of its captions match exactly. The learning rate then falls to its end over a tenth of\n" +
			"the steps done.\n\nExample: bridge retrain --llm tiny-flan-t5 --out runs/swap",
		Flags: append(runFlags(),
			&cli.StringFlag{Name: "llm", Usage: "`ID` of the new language model (default, with --encoder: the old one)"},
			&cli.StringFlag{Name: "encoder", Usage: "`ID` of the new vision encoder (default: the old one)"},
			&cli.StringFlag{Name: "from", Usage: "`MODEL` to change (default: the recipe's)"},
			&cli.StringFlag{Name: "recipe",
				Usage: "`FILE` or name of the recipe (default: the run's; for the kit's bridges " + runs.RetrainRecipe + ")"},
			&cli.StringFlag{Name: "until", Usage: "end at the quality `Q`: old, \"exact match 0.95\", \"CIDEr-D 1.2\" or \"loss 0.02\""},
			&cli.BoolFlag{Name: "cold", Usage: "start from the stage-1 bridge with a new random projection, as a baseline"}),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if c.String("llm") == "" && c.String("encoder") == "" {
				return usagef("bridge retrain: missing --llm ID, the language model to swap in, or --encoder ID (bridge models list)")
			}
			swap := runs.Swap{From: c.String("from"), LLM: c.String("llm"), Encoder: c.String("encoder"), Recipe: c.String("recipe"),
				Cold: c.Bool("cold"), Until: c.String("until"), Overrides: overrides(c)}
			out, err := runs.Retrain(c.Context, p.workspace, swap, runOptions(c))
			if err != nil {
				return err
			}
			return p.printOutcome(c.Bool("json"), out)
		},
	}
}
