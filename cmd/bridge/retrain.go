package main

import (
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/recipes"
)

// retrainRecipe is what a swap follows where no recipe is named.
const retrainRecipe = "tiny-retrain-flan-t5"

func (p *program) retrainCommand() *cli.Command {
	return &cli.Command{
		Name: "retrain", Usage: "swap the language model of a bridge and retrain stage 2 for it",
		UsageText: "bridge retrain --llm ID [--from MODEL] [--recipe FILE] [--set key=value]... [--cold] [--out RUN] [--resume]",
		Description: "The projection is carried over through the tokens that both models share, warmed up, and tuned with the Q-Former.\n\n" +
			"Example: bridge retrain --llm tiny-flan-t5 --out runs/swap",
		Flags: append(runFlags(), setFlag(),
			&cli.StringFlag{Name: "llm", Usage: "`ID` of the new language model"},
			&cli.StringFlag{Name: "from", Usage: "`MODEL` whose language model is swapped (default: the recipe's)"},
			&cli.StringFlag{Name: "recipe", Value: retrainRecipe, Usage: "`FILE` or name of the recipe to follow"},
			&cli.BoolFlag{Name: "cold", Usage: "start from the stage-1 bridge with a fresh projection: the baseline"}),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if c.String("llm") == "" {
				return usagef("bridge retrain wants --llm ID, the language model to swap in (bridge models list)")
			}
			r, err := p.swap(c)
			if err != nil {
				return err
			}
			return p.runToEnd(c, r)
		},
	}
}

// swap is the recipe with the command line's models in it.
func (p *program) swap(c *cli.Context) (*recipes.Resolved, error) {
	llm := c.String("llm")
	overrides := append(backendSet(c), "language.id="+strconv.Quote(llm), "name="+strconv.Quote("retrain-"+filepath.Base(llm)))
	if from := c.String("from"); from != "" {
		overrides = append(overrides, "from="+strconv.Quote(from))
		more, err := encoderOf(c, from)
		if err != nil {
			return nil, err
		}
		overrides = append(overrides, more...)
	}
	r, err := recipes.Load(c.String("recipe"), append(overrides, sets(c)...)...)
	if err != nil {
		return nil, err
	}
	if c.Bool("cold") {
		if r, err = cold(c, r); err != nil {
			return nil, err
		}
	}
	reg, err := p.registry(c.Context)
	if err != nil {
		return nil, err
	}
	return r.Resolve(reg)
}

// encoderOf makes the recipe's encoder the one that the bridge was trained with.
func encoderOf(c *cli.Context, from string) ([]string, error) {
	dir, err := bridgeDir(c.Context, from)
	if err != nil {
		return nil, err
	}
	info, _, err := bridge.ReadInfo(dir)
	if err != nil {
		return nil, err
	}
	id := info.Vision.ID
	if info.Vision.Path != "" {
		id = info.Vision.Path
	}
	overrides := []string{"vision.id=" + strconv.Quote(id)}
	if info.Vision.Plugin != "" {
		overrides = append(overrides, "vision.plugin="+strconv.Quote(info.Vision.Plugin))
	}
	return overrides, nil
}

// cold is the baseline of a swap.
func cold(c *cli.Context, r *recipes.Recipe) (*recipes.Recipe, error) {
	dir, err := bridgeDir(c.Context, r.From)
	if err != nil {
		return nil, err
	}
	info, _, err := bridge.ReadInfo(dir)
	if err != nil {
		return nil, err
	}
	if info.Stage == 1 {
		return r.Cold(r.From), nil
	}
	if info.Stage1 == "" {
		return nil, adapters.Errorf(adapters.NotFound, "%s does not say which stage-1 bridge it began from", r.From).
			WithRemedy("give that bridge with --from")
	}
	return r.Cold(info.Stage1), nil
}
