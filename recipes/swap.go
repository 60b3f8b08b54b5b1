package recipes

import (
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
	// Projection is where the projection to the language model comes from; package train
	// lists the ways. Stage 2 only. Default "shared-tokens".
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
		string(train.ProjectionCaptionTokens), string(train.ProjectionFresh), string(train.ProjectionKeep))
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
	o := r.Optimizer.adamW(map[train.Module]float64{train.Projection: r.Swap.WarmupLR})
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

// Cold returns the baseline of a swap's recipe: the same steps, data and schedule shape,
// from the stage-1 bridge with a fresh projection, at the cold start's own learning rate.
func (r *Recipe) Cold(stage1 string) *Recipe {
	c := *r
	c.Name, c.From = r.Name+"-cold", stage1
	if r.Swap == nil {
		return &c
	}
	c.Swap = nil
	if r.Swap.Encoder != "" { // another encoder's keys and values mean nothing to the old ones
		c.Swap = &Swap{Encoder: train.EncoderFresh, Projection: train.ProjectionFresh}
	}
	c.Optimizer.Steps += r.Swap.WarmupSteps
	if r.Swap.ColdLR > 0 {
		c.Optimizer.LR, c.Optimizer.QFormerLR, c.Optimizer.ProjectionLR = r.Swap.ColdLR, 0, 0
	}
	return &c
}
