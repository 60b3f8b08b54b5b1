package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
)

// retrainRecipe is what a swap follows where no recipe is named.
const retrainRecipe = "tiny-retrain-flan-t5"

func (p *program) retrainCommand() *cli.Command {
	return &cli.Command{
		Name: "retrain", Usage: "swap the language model of a bridge, its vision encoder, or both, and retrain stage 2",
		UsageText: "bridge retrain --llm ID [--encoder ID] [--from MODEL] [--recipe FILE] [--set key=value]... [--cold] [--out RUN] [--resume]",
		Description: "For a new language model the projection is carried over through the tokens that both models share, warmed up, and\n" +
			"tuned with the Q-Former. For a new encoder cross-attention is carried over through the encoders' features.\n" +
			"What it trains on, and how long, is what --recipe says; without one, what the run was trained on that --from names.\n\n" +
			"Example: bridge retrain --llm tiny-flan-t5 --out runs/swap",
		Flags: append(runFlags(), setFlag(),
			&cli.StringFlag{Name: "llm", Usage: "`ID` of the new language model (default, with --encoder: the old one)"},
			&cli.StringFlag{Name: "encoder", Usage: "`ID` of the new vision encoder (default: the old one)"},
			&cli.StringFlag{Name: "from", Usage: "`MODEL` that is changed (default: the recipe's)"},
			&cli.StringFlag{Name: "recipe", Usage: "`FILE` or name of the recipe to follow (default: the run's; for the kit's bridges " + retrainRecipe + ")"},
			&cli.BoolFlag{Name: "cold", Usage: "start from the stage-1 bridge with a fresh projection: the baseline"}),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if c.String("llm") == "" && c.String("encoder") == "" {
				return usagef("bridge retrain wants --llm ID, the language model to swap in, or --encoder ID (bridge models list)")
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
	reg, err := p.registry(c.Context)
	if err != nil {
		return nil, err
	}
	recipe, derived := swapRecipe(c)
	from := c.String("from")
	if from == "" {
		base, err := recipes.Load(recipe)
		if err != nil {
			return nil, err
		}
		from = base.From
	}
	info, err := infoOf(c.Context, from)
	if err != nil {
		return nil, err
	}
	llm, err := newLanguage(c, info)
	if err != nil {
		return nil, err
	}
	overrides := append(backendSet(c), given("from", from, "from="+strconv.Quote(from))...)
	overrides = append(overrides, given("llm", llm, "name="+strconv.Quote("retrain-"+filepath.Base(llm)))...)
	overrides = append(overrides, given("encoder", c.String("encoder"), encoderSet(c, info))...)
	if derived {
		more, err := swapOf(recipe, reg, llm)
		if err != nil {
			return nil, err
		}
		overrides = append(overrides, given("llm", llm, more...)...)
	} else {
		overrides = append(overrides, given("llm", llm, "language.id="+strconv.Quote(llm))...)
	}
	if id := c.String("encoder"); id != "" {
		overrides = append(overrides, given("encoder", id, fmt.Sprintf("swap.encoder=%q", train.EncoderLeastSquares))...)
	}
	r, err := recipes.LoadWith(recipe, append(overrides, sets(c)...)...)
	if err != nil {
		return nil, err
	}
	if c.Bool("cold") {
		if r, err = cold(c, r); err != nil {
			return nil, err
		}
	}
	return r.Resolve(reg)
}

func infoOf(ctx context.Context, model string) (bridge.Info, error) {
	dir, err := bridgeDir(ctx, model)
	if err != nil {
		return bridge.Info{}, err
	}
	info, _, err := bridge.ReadInfo(dir)
	return info, err
}

// newLanguage is the language model to join with: --llm, or the bridge's own.
func newLanguage(c *cli.Context, info bridge.Info) (string, error) {
	if llm := c.String("llm"); llm != "" {
		return llm, nil
	}
	if info.Language == nil {
		return "", usagef("%s is a stage-1 bridge, which has no language model to keep; name one with --llm", c.String("from"))
	}
	return cmp.Or(info.Language.Path, info.Language.ID), nil
}

// encoderSet is --encoder, or the encoder that the bridge was trained with, as
// an override of the recipe's.
func encoderSet(c *cli.Context, info bridge.Info) string {
	if id := c.String("encoder"); id != "" {
		return fmt.Sprintf("vision={id=%q}", id)
	}
	v := info.Vision
	var fields []string
	switch {
	case v.Path != "":
		fields = append(fields, fmt.Sprintf("path=%q", v.Path))
	case v.Plugin == "":
		fields = append(fields, fmt.Sprintf("id=%q", v.ID))
	}
	if v.Plugin != "" {
		fields = append(fields, fmt.Sprintf("plugin=%q", v.Plugin))
	}
	if v.Layer != 0 {
		fields = append(fields, fmt.Sprintf("feature_layer=%d", v.Layer))
	}
	return "vision={" + strings.Join(fields, ", ") + "}"
}

// swapRecipe returns the recipe that a swap follows, and whether it is that of
// the stage-2 run that is swapped and so has to be made a swap's.
func swapRecipe(c *cli.Context) (recipe string, derived bool) {
	if recipe := c.String("recipe"); recipe != "" {
		return recipe, false
	}
	own := filepath.Join(c.String("from"), recipeFile)
	if _, err := os.Stat(own); c.String("from") != "" && err == nil {
		return own, true
	}
	return retrainRecipe, false
}

// swapOf turns the recipe of a stage-2 run into a swap's: the same data, batch
// and schedule shape for another language model. Texts that were meant for the
// old model go; a recipe that was not a swap's becomes one of a quarter of its
// steps.
func swapOf(file string, reg *registry.Registry, llm string) ([]string, error) {
	old, err := recipes.Load(file)
	if err != nil {
		return nil, err
	}
	if old.Stage != 2 {
		return nil, adapters.Errorf(adapters.Invalid, "%s is of stage %d, and a swap retrains stage 2", file, old.Stage).
			WithRemedy("name a recipe with --recipe")
	}
	overrides := []string{fmt.Sprintf("language={id=%q, isolation=%q}", llm, old.Language.Isolation)}
	if found, err := reg.Lookup(llm); err == nil {
		overrides = append(overrides, fmt.Sprintf("objective.name=%q", recipes.ObjectiveFor(found.Architecture, old.Objective.Name)))
	}
	if old.Swap == nil {
		steps := max(1, old.Optimizer.Steps/4)
		images := max(old.Optimizer.Batch, old.Optimizer.Batch*steps/4)
		overrides = append(overrides, fmt.Sprintf("optimizer.steps=%d", steps), fmt.Sprintf("optimizer.warmup=%d", min(old.Optimizer.Warmup, steps/10)),
			fmt.Sprintf("swap={projection=%q, warmup_steps=%d, warmup_lr=%g, warmup_images=%d}", train.StartSharedTokens, steps/4, min(1, 2*old.Optimizer.LR), images))
	}
	return overrides, nil
}

// cold is the baseline of a swap.
func cold(c *cli.Context, r *recipes.Recipe) (*recipes.Recipe, error) {
	info, err := infoOf(c.Context, r.From)
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
