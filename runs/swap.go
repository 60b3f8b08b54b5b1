package runs

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// RetrainRecipe is the recipe that a swap follows if none is named and the bridge is not a
// run's.
const RetrainRecipe = "tiny-retrain"

// Swap is a bridge that is to be retrained for other frozen models.
type Swap struct {
	From    string // MODEL; empty: the recipe's
	LLM     string // ID of the new language model; empty: the bridge's own
	Encoder string // ID of the new vision encoder; empty: the bridge's own
	// Recipe is what the retraining follows: a file, or the name of one that ships. If it
	// is empty it is the run's that From names, or else RetrainRecipe.
	Recipe string
	// Cold starts from the stage-1 bridge with a random projection: the baseline.
	Cold      bool
	Overrides []recipes.Override // of the recipe, after the swap's own
}

// Retrain runs a swap into a run folder.
func Retrain(ctx context.Context, w *workspace.Workspace, s Swap, o Options) (Outcome, error) {
	r, err := s.Resolve(ctx, w)
	if err != nil {
		return Outcome{}, err
	}
	return Train(ctx, w, r, o)
}

// Resolve returns the recipe of the swap.
func (s Swap) Resolve(ctx context.Context, w *workspace.Workspace) (*recipes.Resolved, error) {
	reg, err := w.Registry()
	if err != nil {
		return nil, err
	}
	recipe, derived := s.base()
	from := s.From
	if from == "" {
		base, err := recipes.Load(recipe)
		if err != nil {
			return nil, err
		}
		from = base.From
	}
	info, err := w.BridgeInfo(ctx, from)
	if err != nil {
		return nil, err
	}
	llm, err := s.language(from, info)
	if err != nil {
		return nil, err
	}
	overrides := append(FlagOverrides("from", from, "from="+strconv.Quote(from)), FlagOverrides("llm", llm, "name="+strconv.Quote(s.name()))...)
	if derived {
		more, err := derive(recipe, reg, llm)
		if err != nil {
			return nil, err
		}
		overrides = append(overrides, FlagOverrides("llm", llm, more...)...)
	} else {
		overrides = append(overrides, FlagOverrides("llm", llm, "language.id="+strconv.Quote(llm))...)
	}
	overrides = append(overrides, FlagOverrides("encoder", s.Encoder, s.encoderSet(info)...)...) // after derive, which may make the swap's table
	r, err := recipes.LoadWith(recipe, append(overrides, s.Overrides...)...)
	if err != nil {
		return nil, err
	}
	if s.Cold {
		if r, err = coldRecipe(ctx, w, r); err != nil {
			return nil, err
		}
	}
	return r.Resolve(reg)
}

// name returns the run's name: after the models that come in.
func (s Swap) name() string {
	name := "retrain"
	for _, id := range []string{s.Encoder, s.LLM} {
		if id != "" {
			name += "-" + registry.FolderName(id)
		}
	}
	return name
}

// language returns the language model to join with.
func (s Swap) language(from string, info bridge.Info) (string, error) {
	if s.LLM != "" {
		return s.LLM, nil
	}
	if info.Language == nil {
		return "", workspace.OptionErrorf("%s is a stage-1 bridge, which has no language model to keep; name one with --llm", from)
	}
	return cmp.Or(info.Language.Path, info.Language.ID), nil
}

// encoderSet is the swap's encoder, or the one that the bridge was trained with,
// as overrides of the recipe's.
func (s Swap) encoderSet(info bridge.Info) []string {
	if s.Encoder != "" && s.Encoder != info.Vision.ID {
		return []string{fmt.Sprintf("vision={id=%q}", s.Encoder), fmt.Sprintf("swap.encoder=%q", train.EncoderLeastSquares)}
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
func (s Swap) base() (recipe string, derived bool) {
	if s.Recipe != "" {
		return s.Recipe, false
	}
	own := filepath.Join(s.From, recipes.RunFile)
	if _, err := os.Stat(own); s.From != "" && err == nil {
		return own, true
	}
	return RetrainRecipe, false
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
			fmt.Sprintf("swap={projection=%q, warmup_steps=%d, warmup_lr=%g, warmup_images=%d}", train.ProjectionSharedTokens, warmup, min(1, 2*old.Optimizer.LR), images))
	}
	return overrides, nil
}

// coldRecipe returns the baseline of a swap's recipe.
func coldRecipe(ctx context.Context, w *workspace.Workspace, r *recipes.Recipe) (*recipes.Recipe, error) {
	info, err := w.BridgeInfo(ctx, r.From)
	if err != nil {
		return nil, err
	}
	if info.Stage == 1 {
		return r.Cold(r.From), nil
	}
	if info.Stage1 == "" {
		return nil, adapters.Errorf(adapters.NotFound, "%s does not record the stage-1 bridge that it started from", r.From).
			WithRemedy("give that bridge with --from")
	}
	return r.Cold(info.Stage1), nil
}

// FlagOverrides returns the assignments that a command-line flag makes to a recipe.
// Messages about them name the flag as it was typed.
func FlagOverrides(flag, typed string, assignments ...string) []recipes.Override {
	var all []recipes.Override
	for _, a := range assignments {
		all = append(all, recipes.Override{Assignment: a, Flag: "--" + flag + " " + typed})
	}
	return all
}
