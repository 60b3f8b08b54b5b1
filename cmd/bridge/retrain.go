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
const retrainRecipe = "tiny-retrain"

func (p *program) retrainCommand() *cli.Command {
	return &cli.Command{
		Name: "retrain", Usage: "swap the language model of a bridge, its vision encoder, or both, and retrain stage 2",
		UsageText: "bridge retrain --llm ID [--encoder ID] [--from MODEL] [--recipe FILE] [--set key=value]... [--cold] [--out RUN] [--resume]",
		Description: "For a new language model the projection is carried over through the tokens that both models share, warmed up, and\n" +
			"tuned with the Q-Former. For a new encoder cross-attention is carried over through the encoders' features.\n" +
			"What it trains on, and how long, is what --recipe says. Without one it is the data of the run that --from names, for a\n" +
			"quarter of its steps, a quarter of those as warm-up; a run that was a swap itself is repeated as it was.\n\n" +
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
			reg, err := p.registry(c.Context)
			if err != nil {
				return err
			}
			r, err := swapOf(c).resolve(c.Context, p, reg)
			if err != nil {
				return err
			}
			return p.runToEnd(c, r)
		},
	}
}

// swap is a bridge that is to be retrained for other frozen models.
type swap struct {
	from    string // MODEL; empty: the recipe's
	llm     string // ID; empty: the bridge's own
	encoder string // ID; empty: the bridge's own
	recipe  string // to follow; empty: the run's that from names, or the kit's
	cold    bool
	more    []recipes.Override // of the recipe, after what the models make of it
}

// swapOf reads the command line.
func swapOf(c *cli.Context) swap {
	return swap{from: c.String("from"), llm: c.String("llm"), encoder: c.String("encoder"), recipe: c.String("recipe"),
		cold: c.Bool("cold"), more: append(backendSet(c), sets(c)...)}
}

// resolve is the recipe with the swap's models in it.
func (s swap) resolve(ctx context.Context, p *program, reg *registry.Registry) (*recipes.Resolved, error) {
	recipe, derived := s.base()
	from := s.from
	if from == "" {
		base, err := recipes.Load(recipe)
		if err != nil {
			return nil, err
		}
		from = base.From
	}
	info, err := p.infoOf(ctx, from)
	if err != nil {
		return nil, err
	}
	llm, err := s.language(from, info)
	if err != nil {
		return nil, err
	}
	overrides := append(given("from", from, "from="+strconv.Quote(from)), given("llm", llm, "name="+strconv.Quote(s.name()))...)
	if derived {
		more, err := derive(recipe, reg, llm)
		if err != nil {
			return nil, err
		}
		overrides = append(overrides, given("llm", llm, more...)...)
	} else {
		overrides = append(overrides, given("llm", llm, "language.id="+strconv.Quote(llm))...)
	}
	overrides = append(overrides, given("encoder", s.encoder, s.encoderSet(info)...)...) // after derive, which may make the swap's table
	r, err := recipes.LoadWith(recipe, append(overrides, s.more...)...)
	if err != nil {
		return nil, err
	}
	if s.cold {
		if r, err = p.cold(ctx, r); err != nil {
			return nil, err
		}
	}
	return r.Resolve(reg)
}

func (p *program) infoOf(ctx context.Context, model string) (bridge.Info, error) {
	dir, err := bridgeDir(ctx, model)
	if err != nil {
		return bridge.Info{}, err
	}
	return p.readInfo(dir)
}

// name is the run's: after the models that come in.
func (s swap) name() string {
	name := "retrain"
	for _, id := range []string{s.encoder, s.llm} {
		if id != "" {
			name += "-" + registry.FolderName(id)
		}
	}
	return name
}

// language is the language model to join with.
func (s swap) language(from string, info bridge.Info) (string, error) {
	if s.llm != "" {
		return s.llm, nil
	}
	if info.Language == nil {
		return "", usagef("%s is a stage-1 bridge, which has no language model to keep; name one with --llm", from)
	}
	return cmp.Or(info.Language.Path, info.Language.ID), nil
}

// encoderSet is the swap's encoder, or the one that the bridge was trained with,
// as overrides of the recipe's.
func (s swap) encoderSet(info bridge.Info) []string {
	if s.encoder != "" && s.encoder != info.Vision.ID {
		return []string{fmt.Sprintf("vision={id=%q}", s.encoder), fmt.Sprintf("swap.encoder=%q", train.EncoderLeastSquares)}
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
	if v.Image.Width == v.Image.Height && v.Image.Width != 0 {
		fields = append(fields, fmt.Sprintf("image_size=%d", v.Image.Width))
	}
	return []string{"vision={" + strings.Join(fields, ", ") + "}"}
}

// base returns the recipe that a swap follows, and whether it is that of the
// stage-2 run that is swapped and so has to be made a swap's.
func (s swap) base() (recipe string, derived bool) {
	if s.recipe != "" {
		return s.recipe, false
	}
	own := filepath.Join(s.from, recipeFile)
	if _, err := os.Stat(own); s.from != "" && err == nil {
		return own, true
	}
	return retrainRecipe, false
}

// derive turns the recipe of a stage-2 run into a swap's: the same data, batch
// and schedule shape for another language model. Texts that were meant for the
// old model go; a recipe that was not a swap's becomes one of a quarter of its
// steps.
func derive(file string, reg *registry.Registry, llm string) ([]string, error) {
	old, err := recipes.Load(file)
	if err != nil {
		return nil, err
	}
	if old.Stage != 2 {
		return nil, adapters.Errorf(adapters.Invalid, "%s is of stage %d, and a swap retrains stage 2", file, old.Stage).
			WithRemedy("name a recipe with --recipe")
	}
	overrides := []string{fmt.Sprintf("language={id=%q, isolation=%q}", llm, old.Language.Isolation)}
	if old.Language.Transport != "" {
		overrides = append(overrides, fmt.Sprintf("language.transport=%q", old.Language.Transport))
	}
	if found, err := reg.LookupKind(llm, adapters.KindLanguage); err == nil {
		overrides = append(overrides, fmt.Sprintf("objective.name=%q", recipes.ObjectiveFor(found.Architecture, old.Objective.Name)))
	}
	if old.Swap == nil {
		steps := max(1, old.Optimizer.Steps/4)
		warmup := (steps + 3) / 4
		images := max(old.Optimizer.Batch, old.Optimizer.Batch*steps/4)
		overrides = append(overrides, fmt.Sprintf("optimizer.steps=%d", steps), fmt.Sprintf("optimizer.warmup=%d", min(old.Optimizer.Warmup, steps/10)),
			fmt.Sprintf("swap={projection=%q, warmup_steps=%d, warmup_lr=%g, warmup_images=%d}", train.StartSharedTokens, warmup, min(1, 2*old.Optimizer.LR), images))
	}
	return overrides, nil
}

// cold is the baseline of a swap.
func (p *program) cold(ctx context.Context, r *recipes.Recipe) (*recipes.Recipe, error) {
	info, err := p.infoOf(ctx, r.From)
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
