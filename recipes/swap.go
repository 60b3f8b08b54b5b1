package recipes

import (
	"cmp"
	"slices"
	"strconv"

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

// ProjectionInit returns how the projection starts, if the bridge that the recipe starts from allows it.
func (r *Recipe) ProjectionInit() train.ProjectionInit {
	if r.Stage == 2 && r.Swap != nil {
		return r.Swap.Projection
	}
	return train.ProjectionFresh
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
		plan.ProjectionInit = r.ProjectionInit()
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
	// Language is the language model: the new one, whose ID may be a folder, or the bridge's own.
	Language       Backbone
	LanguageOrigin string
	// NewLanguage is true if the bridge was not trained with Language.
	NewLanguage bool
	// Architecture is the language model's architecture. Empty if it is not known yet.
	Architecture adapters.Architecture
	// Vision is the encoder: the new one, or the bridge's own.
	Vision       Vision
	VisionOrigin string
	// NewEncoder is true if the bridge was trained with another encoder than Vision.
	NewEncoder bool
	// Derive is true if the recipe is the one of a stage-2 run, which was not written for
	// swaps. The swap keeps its data and schedule shape. It drops what was meant for the old
	// language model, and takes an objective that fits the new one. A recipe without the
	// table [swap] gets the table, and small batches for a sixteenth of its examples.
	Derive bool
	// SharedTokens carries the projection over through shared tokens in place of words, if the
	// recipe is derived, or ships with bridge and goes through words.
	SharedTokens bool
}

// LoadForSwap is [LoadWith] for a swap: it puts the models into the recipe before it makes
// the overrides. So the file may lack what the models give, and the overrides may replace it.
func LoadForSwap(nameOrFile string, models SwapModels, overrides ...Override) (*Recipe, error) {
	doc, err := read(nameOrFile)
	if err != nil {
		return nil, err
	}
	edit := swapEdit{SwapModels: models, doc: doc}
	shipped := slices.Contains(Shipped(), nameOrFile)
	if models.Derive || shipped {
		old, err := decode(doc, nil)
		if err != nil {
			return nil, err
		}
		if models.Derive {
			if old.Stage != 2 {
				return nil, adapters.Errorf(adapters.Invalid, "%s is of stage %d, and a swap retrains stage 2", nameOrFile, old.Stage).
					WithRemedy("name a recipe with --recipe")
			}
			edit.derive(old)
		}
		edit.chooseStart(old)
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

// derive makes the recipe of a stage-2 run a swap's. The bridge keeps its language model with all
// settings of its process and its texts.
func (e *swapEdit) derive(old *Recipe) {
	if was := old.Language; e.NewLanguage {
		e.set("language", Language{Backbone: Backbone{Isolation: was.Isolation, Transport: was.Transport}}, e.LanguageOrigin)
		e.set("objective.name", old.objective().For(e.Architecture).Name, e.LanguageOrigin)
	}
	if old.Projection != (Projection{}) {
		e.set("projection", old.projectionForSwap(), e.LanguageOrigin)
	}
}

// chooseStart sets how the projection starts. The recipe of a run without a swap also gets a batch,
// steps and rates for one; if it says that the projection is linear, it goes through shared tokens.
// A recipe with a swap is changed only if its start does not fit: words if the language model stays
// or if words are not possible, the old projection if the language model changes.
func (e *swapEdit) chooseStart(old *Recipe) {
	o := old.Optimizer
	init := train.ProjectionKeep
	if e.NewLanguage {
		init = train.ProjectionWords
	}
	if s := old.Swap; s != nil {
		switch inWords := s.Projection == train.ProjectionWords; {
		case inWords && e.SharedTokens:
			e.throughTokens(o, s.ColdLR)
		case inWords, s.Projection == train.ProjectionKeep:
			e.startAs(init, o)
		}
		return
	}
	if !e.Derive {
		return
	}
	if o.WordsLR != nil {
		e.doc.Delete("optimizer.words_lr") // of soft prompts that the swap replaces
	}
	if e.SharedTokens || e.NewLanguage && old.Projection.Kind == ProjectionLinear {
		e.steps(&o, o.Steps/4)
		e.throughTokens(o, 0)
		return
	}
	e.smallBatch(&o)
	e.startAs(init, o)
}

// steps sets the number of steps, and limits their warm-up.
func (e *swapEdit) steps(o *Optimizer, n int) {
	o.Steps = max(1, n)
	e.set("optimizer.steps", o.Steps, e.LanguageOrigin)
	e.set("optimizer.warmup", min(o.Warmup, o.Steps/10), e.LanguageOrigin)
}

// The rates of a swap, relative to optimizer.lr of the run that it starts from, and of its cold start
// (docs/swapping.md).
const (
	swapQFormerRate    = 0.075
	swapProjectionRate = 0.25
	swapWarmupRate     = 2
	coldRate           = 0.25
)

// startAs sets the start of the projection. A recipe without a swap gets one with the rates of a swap
// and without a warm-up of the projection. The keys of a warm-up are there, so that
// swap.warmup_steps can turn it on.
func (e *swapEdit) startAs(init train.ProjectionInit, o Optimizer) {
	if !e.doc.Has("swap") {
		e.set("swap", Swap{WarmupLR: rate(swapWarmupRate, o.LR), WarmupImages: warmupImages(o), ColdLR: rate(coldRate, o.LR)}, e.LanguageOrigin)
		e.set("optimizer.qformer_lr", rate(swapQFormerRate, o.LR), e.LanguageOrigin)
		e.set("optimizer.projection_lr", rate(swapProjectionRate, o.LR), e.LanguageOrigin)
	}
	e.set("swap.projection", init, e.LanguageOrigin)
}

// throughTokens carries the projection over through the tokens that both language models share, and
// warms it up for a quarter of the steps. A recipe for words keeps its batch and its rates, the cold start's too.
func (e *swapEdit) throughTokens(o Optimizer, coldLR float64) {
	e.set("swap", Swap{
		Projection:   train.ProjectionSharedTokens,
		WarmupSteps:  (o.Steps + 3) / 4,
		WarmupLR:     rate(swapWarmupRate, o.LR),
		WarmupImages: warmupImages(o),
		ColdLR:       coldLR,
	}, e.LanguageOrigin)
}

// rate returns a multiple of a learning rate, rounded to six digits, at most 1.
func rate(factor, lr float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(factor*lr, 'g', 6, 64), 64)
	return min(1, rounded)
}

// warmupImages returns the number of pictures of a quarter of the steps, at least a batch.
func warmupImages(o Optimizer) int { return max(o.Batch, o.Batch*o.Steps/4) }

// A swap divides the batch of its run by batchDivisor, down to smallestBatch. It sees as small a part of the
// run's examples.
const (
	batchDivisor  = 16
	smallestBatch = 4
)

// smallBatch makes the batch small, because a swap in small batches needs fewer examples, and sets the number of
// steps. A micro-batch is at most as large as the run's.
func (e *swapEdit) smallBatch(o *Optimizer) {
	micro, examples := o.Batch/o.Accumulate, o.Batch*o.Steps/batchDivisor
	o.Batch = max(min(smallestBatch, o.Batch), o.Batch/batchDivisor)
	o.Accumulate = (o.Batch + micro - 1) / micro
	for o.Batch%o.Accumulate != 0 {
		o.Accumulate++
	}
	e.set("optimizer.batch", o.Batch, e.LanguageOrigin)
	e.set("optimizer.accumulate", o.Accumulate, e.LanguageOrigin)
	e.steps(o, examples/o.Batch)
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
	if e.NewLanguage {
		e.set("language.id", e.Language.ID, e.LanguageOrigin)
	} else {
		e.keepSide("language", e.Language, e.LanguageOrigin)
	}
	vision := e.Vision
	if e.NewEncoder {
		vision.Isolation = cmp.Or(vision.Isolation, defaultBackbone().Isolation)
		e.set("vision", vision, e.VisionOrigin)
		e.set("swap.encoder", train.EncoderLeastSquares, e.VisionOrigin)
		return
	}
	e.keepSide("vision", vision.Backbone, e.VisionOrigin)
	e.doc.Delete("vision.feature_layer")
	e.doc.Delete("vision.image_size")
	if vision.FeatureLayer != nil {
		e.set("vision.feature_layer", *vision.FeatureLayer, e.VisionOrigin)
	}
	if vision.ImageSize != 0 {
		e.set("vision.image_size", vision.ImageSize, e.VisionOrigin)
	}
}

// keepSide names a frozen model of the bridge in a table. The settings of its process stay: isolation,
// type, limits and, for a plugin, what it may see.
func (e *swapEdit) keepSide(table string, b Backbone, origin string) {
	gone := []string{"id", "path", "plugin"}
	if b.Plugin == "" {
		gone = append(gone, pluginKeys()...)
	}
	for _, key := range gone {
		e.doc.Delete(table + "." + key)
	}
	for _, v := range []struct{ key, value string }{{"id", b.ID}, {"path", b.Path}, {"plugin", b.Plugin}} {
		if v.value != "" {
			e.set(table+"."+v.key, v.value, origin)
		}
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
