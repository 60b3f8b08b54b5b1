package runs

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
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
	file, derived := s.base()
	from := s.From
	if from == "" {
		base, err := recipes.Load(file)
		if err != nil {
			return nil, err
		}
		from = base.From
	}
	models, err := s.models(ctx, w, from)
	if err != nil {
		return nil, err
	}
	models.Derive = derived
	if found, err := reg.LookupKind(models.Language, adapters.KindLanguage); err == nil {
		models.Architecture = found.Architecture
	}
	r, err := recipes.LoadForSwap(file, models, s.Overrides...)
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

// models returns the models that the swap joins: the new ones, and what is kept of those
// that the bridge from was trained with.
func (s Swap) models(ctx context.Context, w *workspace.Workspace, from string) (recipes.SwapModels, error) {
	info, err := w.BridgeInfo(ctx, from)
	if err != nil {
		return recipes.SwapModels{}, err
	}
	ofBridge := "the bridge " + from
	models := recipes.SwapModels{Name: s.name(), From: s.From, FromOrigin: "--from " + s.From,
		Language: s.LLM, LanguageOrigin: "--llm " + s.LLM, VisionOrigin: "--encoder " + s.Encoder}
	if s.LLM == "" {
		if info.Language == nil {
			return recipes.SwapModels{}, workspace.OptionErrorf("%s is a stage-1 bridge, which has no language model to keep; name one with --llm", from)
		}
		models.Language, models.LanguageOrigin = cmp.Or(info.Language.Path, info.Language.ID), ofBridge
	}
	if s.Encoder == "" {
		models.VisionOrigin = ofBridge
	}
	if models.NewEncoder = s.Encoder != "" && s.Encoder != info.Vision.ID; models.NewEncoder {
		models.Vision.ID = s.Encoder
	} else {
		models.Vision = visionOf(info.Vision)
	}
	return models, nil
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

// visionOf returns the encoder that a bridge was trained with, as a recipe names it.
func visionOf(side bridge.Side) recipes.Vision {
	v := recipes.Vision{Backbone: recipes.Backbone{Path: side.Path, Plugin: side.Plugin}}
	if side.Path == "" && side.Plugin == "" {
		v.ID = side.ID
	}
	if side.Layer != 0 {
		v.FeatureLayer = &side.Layer
	}
	if side.Image.Width == side.Image.Height {
		v.ImageSize = side.Image.Width
	}
	return v
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
