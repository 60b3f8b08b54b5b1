package recipes

import (
	"cmp"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// Swap is the table [swap]: how a bridge is carried over to another frozen model than the
// one that it was trained with. Without the table nothing is carried over: a language
// model gets a fresh projection, and an encoder of another width is refused.
type Swap struct {
	// Encoder is where cross-attention's keys and values come from if the encoder is
	// another one: "least-squares" (the old ones, through a map between the features of
	// the two encoders) or "fresh" (random). Default: none, the encoder is the same.
	Encoder train.EncoderInit `toml:"encoder,omitempty"`
	// Projection selects the initial projection to the language model; package train lists
	// the ways. Stage 2 only. Default "shared-tokens".
	Projection train.ProjectionInit `toml:"projection"`
	// WarmupSteps is the number of steps that train the projection alone, before those
	// of the optimizer. Default 0: no warm-up.
	WarmupSteps int `toml:"warmup_steps"`
	// FreezeQFormer trains the projection alone to the end. Default false.
	FreezeQFormer bool `toml:"freeze_qformer"`
	// WarmupLR is the peak learning rate of the warm-up. Required with WarmupSteps.
	WarmupLR float64 `toml:"warmup_lr"`
	// WarmupImages is the number of pictures whose Q-Former outputs are cached, while the
	// projection is trained alone. Required with WarmupSteps or FreezeQFormer; at least a
	// batch.
	WarmupImages int `toml:"warmup_images"`
	// ColdLR is the peak learning rate of the cold start that the swap is compared with
	// ([Recipe.Cold]). Default 0: the rates of the optimizer.
	ColdLR float64 `toml:"cold_lr,omitzero"`
}

// defaultSwap returns what the table is before its keys are read. A recipe without the
// table has none.
func defaultSwap() *Swap { return &Swap{Projection: train.ProjectionSharedTokens} }

func (r *Recipe) checkSwap() {
	s := r.Swap
	if s == nil {
		return
	}
	if s.Encoder != "" {
		r.oneOf("swap.encoder", string(s.Encoder), string(train.EncoderLeastSquares), string(train.EncoderFresh))
	}
	r.oneOf("swap.projection", string(s.Projection), string(train.ProjectionSharedTokens), string(train.ProjectionOrthogonal),
		string(train.ProjectionCaptionTokens), string(train.ProjectionWords), string(train.ProjectionFresh), string(train.ProjectionKeep))
	if r.Stage == 1 {
		r.want("swap", s.Encoder != "", "is given, but only stage 2 has a projection to carry over; stage 1 takes swap.encoder alone")
		r.want("from", r.From != "", "is empty, want the stage-1 bridge whose encoder is swapped")
		return
	}
	r.want("from", r.From != "", "is empty, want the stage-2 bridge that the swap starts from")
	r.want("swap.warmup_steps", s.WarmupSteps >= 0, "is %d, want a number of steps, or 0 for no warm-up", s.WarmupSteps)
	r.learningRate("swap.cold_lr", s.ColdLR, true)
	if s.WarmupSteps > 0 {
		r.learningRate("swap.warmup_lr", s.WarmupLR, false)
	}
	if s.WarmupSteps > 0 || s.FreezeQFormer {
		r.want("swap.warmup_images", s.WarmupImages >= max(r.Optimizer.Batch, 1),
			"is %d, want how many pictures' Q-Former outputs are cached, at least optimizer.batch, %d", s.WarmupImages, r.Optimizer.Batch)
	}
}

// addSwap adds the swap to a plan whose only phase is the recipe's stage.
func (r *Resolved) addSwap(plan *train.Plan) {
	s := r.Swap
	if s == nil {
		return
	}
	if stage := &plan.Phases[0]; s.FreezeQFormer {
		stage.Train, stage.CachedQueries = []train.Module{train.Projection}, s.WarmupImages
		delete(stage.Optimizer.LearningRate, train.QFormer)
	}
	if r.Stage == 2 {
		plan.ProjectionInit = s.Projection
		if s.WarmupSteps > 0 {
			plan.Phases = append([]train.Phase{r.warmupPhase()}, plan.Phases...)
		}
	}
}

// warmupPhase trains the projection alone, on cached Q-Former outputs: a tenth of its
// steps up to the peak, then down to a fifth of it, without decay, since a matrix that
// has just been carried over should not be pulled towards zero.
func (r *Resolved) warmupPhase() train.Phase {
	o := r.adamW(map[train.Module]float64{train.Projection: r.Swap.WarmupLR})
	o.WeightDecay = 0
	return train.Phase{
		Name:          "projector-warmup",
		Objective:     r.objective(),
		Train:         []train.Module{train.Projection},
		Schedule:      optim.Schedule{Steps: r.Swap.WarmupSteps, Warmup: r.Swap.WarmupSteps / 10, MinFactor: 0.2},
		Optimizer:     o,
		Batch:         r.Optimizer.Batch,
		Accumulate:    r.Optimizer.Accumulate,
		Mix:           objective.Mix{Questions: r.Data.Questions},
		CachedQueries: r.Swap.WarmupImages,
	}
}

// SwapModels holds the values that a swap sets in a recipe: the bridge to start from, and the
// frozen models to join it with. Each has an origin, which messages show in place of a line of
// the file: a flag as it was typed ("--llm tiny-opt"), or the bridge that the value is from.
type SwapModels struct {
	// Name names the run.
	Name string
	// From is the bridge whose models are swapped. Empty: the recipe's.
	From, FromOrigin string
	// Language is the id or the folder of the language model: the new one, or the
	// bridge's own.
	Language, LanguageOrigin string
	// Architecture is the language model's architecture. Empty if it is not known yet.
	Architecture adapters.Architecture
	// Vision is the encoder: the new one, or the bridge's own.
	Vision       Vision
	VisionOrigin string
	// NewEncoder is true if the bridge was trained with another encoder than Vision.
	NewEncoder bool
	// Derive is true if the recipe is the one of a stage-2 run, which was not written for
	// swaps. The swap keeps its data, batch and schedule shape. It drops what was meant for
	// the old language model, and takes an objective that fits the new one. A recipe
	// without the table [swap] gets the table, and a quarter of its steps.
	Derive bool
}

// LoadForSwap is [LoadWith] for a swap: it puts the models into the recipe before it makes
// the overrides. So the file may lack what the models give, and the overrides may replace it.
func LoadForSwap(nameOrFile string, models SwapModels, overrides ...Override) (*Recipe, error) {
	doc, err := read(nameOrFile)
	if err != nil {
		return nil, err
	}
	edit := swapEdit{SwapModels: models, doc: doc}
	if models.Derive {
		old, err := decode(doc, nil)
		if err != nil {
			return nil, err
		}
		if old.Stage != 2 {
			return nil, adapters.Errorf(adapters.Invalid, "%s is of stage %d, and a swap retrains stage 2", nameOrFile, old.Stage).
				WithRemedy("name a recipe with --recipe")
		}
		edit.derive(old)
	}
	edit.join()
	if edit.err != nil {
		return nil, edit.err
	}
	return decode(doc, overrides)
}

// swapEdit puts the models of a swap into the document of a recipe.
type swapEdit struct {
	SwapModels
	doc *stricttoml.Document
	err error // the first one
}

func (e *swapEdit) set(key string, value any, origin string) {
	if e.err == nil {
		e.err = e.doc.SetValue(key, value, origin)
	}
}

// derive makes the recipe of a stage-2 run a swap's.
func (e *swapEdit) derive(old *Recipe) {
	was := old.Language
	e.set("language", Language{Backbone: Backbone{Isolation: was.Isolation, Transport: was.Transport}}, e.LanguageOrigin)
	e.set("objective.name", old.objective().For(e.Architecture).Name, e.LanguageOrigin)
	if old.Projection != (Projection{}) {
		e.set("projection", old.projectionForSwap(), e.LanguageOrigin)
	}
	if old.Swap != nil {
		return
	}
	if old.Optimizer.WordsLR != nil {
		e.doc.Delete("optimizer.words_lr") // of soft prompts that the swap replaces
	}
	o := old.Optimizer
	steps := max(1, o.Steps/4)
	e.set("optimizer.steps", steps, e.LanguageOrigin)
	e.set("optimizer.warmup", min(o.Warmup, steps/10), e.LanguageOrigin)
	e.set("swap", Swap{
		Projection:   train.ProjectionSharedTokens,
		WarmupSteps:  (steps + 3) / 4,
		WarmupLR:     min(1, 2*o.LR),
		WarmupImages: max(o.Batch, o.Batch*steps/4),
	}, e.LanguageOrigin)
}

// projectionForSwap returns the table for a swap of the run's bridge. The bridge keeps its words, so
// it needs no list. The residual was chosen for a run without a swap, if that was none.
func (r *Recipe) projectionForSwap() Projection {
	var p Projection
	if r.Projection.Kind == ProjectionLinear {
		p.Kind = ProjectionLinear
	}
	if residual := r.Projection.Residual; r.Swap != nil && residual != nil && !*residual {
		p.Residual = residual
	}
	return p
}

// join names the run, the bridge and the frozen models.
func (e *swapEdit) join() {
	e.set("name", e.Name, e.LanguageOrigin)
	if e.From != "" {
		e.set("from", e.From, e.FromOrigin)
	}
	e.set("language.id", e.Language, e.LanguageOrigin)
	vision := e.Vision
	vision.Isolation = cmp.Or(vision.Isolation, defaultBackbone().Isolation)
	e.set("vision", vision, e.VisionOrigin)
	if e.NewEncoder {
		e.set("swap.encoder", train.EncoderLeastSquares, e.VisionOrigin)
	}
}

// Cold returns the baseline of a swap's recipe: the same steps, data and schedule shape,
// from the stage-1 bridge with a fresh projection, at the cold start's own learning rate.
func (r *Recipe) Cold(stage1 string) *Recipe {
	c := *r
	c.Name, c.From = r.Name+"-cold", stage1
	if r.Swap == nil {
		return &c
	}
	c.Swap = nil
	c.withoutSwapOfWords()
	if r.Swap.Encoder != "" { // another encoder's keys and values mean nothing to the old ones
		c.Swap = &Swap{Encoder: train.EncoderFresh, Projection: train.ProjectionFresh}
		if c.Projection.Kind == ProjectionWords && c.Optimizer.WordsLR == nil {
			c.Optimizer.WordsLR = new(float64)
		}
	}
	c.Optimizer.Steps += r.Swap.WarmupSteps
	if r.Swap.ColdLR > 0 {
		c.Optimizer.LR, c.Optimizer.QFormerLR, c.Optimizer.ProjectionLR = r.Swap.ColdLR, 0, 0
	}
	return &c
}

// withoutSwapOfWords makes a cold start's projection what it is without a swap: linear, unless the
// recipe says words by projection.kind. Words keep the language model's embeddings, and get a
// residual only if the recipe says so.
func (r *Recipe) withoutSwapOfWords() {
	switch r.Projection.Kind {
	case "":
		r.Projection, r.Optimizer.WordsLR = Projection{}, nil
	case ProjectionWords:
		if r.Projection.Residual == nil {
			r.Projection.Residual = new(bool)
		}
	}
}
