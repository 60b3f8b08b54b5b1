package runs

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// RetrainRecipe is the default recipe of a swap, for a bridge that is not in a run folder.
const RetrainRecipe = "tiny-retrain"

// Swap describes the retraining of a bridge for other frozen models.
type Swap struct {
	From    string // model to start from, as for [workspace.Workspace.BridgeDir]; empty: the recipe's
	LLM     string // ID of the new language model; empty: the bridge's own
	Encoder string // ID of the new vision encoder; empty: the bridge's own
	// Recipe is the recipe of the retraining: a file, or the name of a built-in recipe. If it
	// is empty, Swap uses the recipe of the run in From, or RetrainRecipe if From is not a run.
	Recipe string
	// Cold starts from the stage-1 bridge with a random projection, as a baseline.
	Cold bool
	// Until ends the run early, as evaluation.until of a recipe; empty: the recipe's.
	Until     string
	Overrides []recipes.Override // of the recipe, applied after the swap's own
}

// Retrain swaps frozen models of a bridge, and retrains it in a run folder.
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
	file, derived := s.baseRecipe()
	from := s.From
	if from == "" {
		base, err := recipes.Load(file)
		if err != nil {
			return nil, err
		}
		from = base.From
	}
	info, err := w.BridgeInfo(ctx, from)
	if err != nil {
		return nil, err
	}
	models, err := s.models(info, from)
	if err != nil {
		return nil, err
	}
	models.Derive = derived
	if found, err := reg.LookupKind(models.Language.ID, adapters.KindLanguage); err == nil {
		models.Architecture = found.Architecture
	}
	r, err := recipes.LoadForSwap(file, models, s.overrides()...)
	if err != nil {
		return nil, err
	}
	if s.Cold {
		if r, err = coldRecipe(ctx, w, r); err != nil {
			return nil, err
		}
	}
	resolved, err := r.Resolve(reg)
	if err == nil && models.NewLanguage && info.Words == nil && throughWords(r) {
		resolved.Otherwise = s.throughTokens(reg, file, models)
	}
	return resolved, err
}

// throughWords reports whether a swap goes through words because swap.projection says so.
func throughWords(r *recipes.Recipe) bool {
	return r.Swap != nil && r.Swap.Projection == train.ProjectionWords && r.Projection.Kind == ""
}

// throughTokens returns the recipe of the swap if words are not possible. It is nil if words are no
// default, but what the user's recipe or flags say.
func (s Swap) throughTokens(reg *registry.Registry, file string, models recipes.SwapModels) *recipes.Resolved {
	models.SharedTokens = true
	r, err := recipes.LoadForSwap(file, models, s.overrides()...)
	if err != nil || throughWords(r) {
		return nil
	}
	resolved, err := r.Resolve(reg)
	if err != nil {
		return nil
	}
	return resolved
}

// overrides returns the overrides of the recipe: the swap's own, then the caller's.
func (s Swap) overrides() []recipes.Override {
	if s.Until == "" {
		return s.Overrides
	}
	own := recipes.Override{Assignment: "evaluation.until=" + strconv.Quote(s.Until), Flag: "--until " + s.Until}
	return append([]recipes.Override{own}, s.Overrides...)
}

// models returns the frozen models of the swapped bridge: the new ones, and those that are kept
// from the bridge from.
func (s Swap) models(info bridge.Info, from string) (recipes.SwapModels, error) {
	ofBridge := "the bridge " + from
	models := recipes.SwapModels{Name: s.name(), From: s.From, FromOrigin: "--from " + s.From,
		LanguageOrigin: "--llm " + s.LLM, VisionOrigin: "--encoder " + s.Encoder}
	if s.LLM == "" {
		if info.Language == nil {
			return recipes.SwapModels{}, workspace.OptionErrorf(
				"%s is a stage-1 bridge, which has no language model; name one with --llm", from)
		}
		models.LanguageOrigin = ofBridge
	}
	if models.NewLanguage = s.LLM != "" && !namesSide(s.LLM, info.Language); models.NewLanguage {
		models.Language.ID = s.LLM
	} else {
		models.Language = backboneTable(*info.Language)
	}
	if s.Encoder == "" {
		models.VisionOrigin = ofBridge
	}
	if models.NewEncoder = s.Encoder != "" && s.Encoder != info.Vision.ID; models.NewEncoder {
		models.Vision.ID = s.Encoder
	} else {
		models.Vision = visionTable(info.Vision)
	}
	return models, nil
}

// name returns the run's name, made from the new models.
func (s Swap) name() string {
	name := "retrain"
	for _, id := range []string{s.Encoder, s.LLM} {
		if id != "" {
			name += "-" + registry.FolderName(id)
		}
	}
	return name
}

// namesSide reports whether a flag names the frozen model that a bridge was trained with, by its id or
// its folder. side may be nil.
func namesSide(flag string, side *bridge.Side) bool {
	if side == nil {
		return false
	}
	if side.Path == "" {
		return flag == side.ID && side.Plugin == ""
	}
	path, err := filepath.Abs(flag)
	return err == nil && path == side.Path
}

// backboneTable returns the keys that name a frozen model that a bridge was trained with.
func backboneTable(side bridge.Side) recipes.Backbone {
	b := recipes.Backbone{Path: side.Path, Plugin: side.Plugin}
	if side.Path == "" && side.Plugin == "" {
		b.ID = side.ID
	}
	return b
}

// visionTable returns the recipe table for the encoder that a bridge was trained with.
func visionTable(side bridge.Side) recipes.Vision {
	v := recipes.Vision{Backbone: backboneTable(side)}
	if side.Layer != 0 {
		v.FeatureLayer = &side.Layer
	}
	if side.Image.Width == side.Image.Height {
		v.ImageSize = side.Image.Width
	}
	return v
}

// baseRecipe returns the recipe of the retraining. derived is true if it is the recipe of the
// starting run, which must first be changed into the recipe of a swap.
func (s Swap) baseRecipe() (recipe string, derived bool) {
	if s.Recipe != "" {
		return s.Recipe, false
	}
	own := filepath.Join(s.From, recipes.RunFile)
	if _, err := os.Stat(own); s.From != "" && err == nil {
		return own, true
	}
	return RetrainRecipe, false
}

// coldRecipe returns the recipe of a swap's baseline, which starts from the stage-1 bridge.
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
			WithRemedy("pass that bridge with --from")
	}
	return r.Cold(info.Stage1), nil
}
