package recipes

import (
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/optim"
)

// QFormerConfig returns the shape of the Q-Former that a recipe without From
// starts with. The vocabulary is the tokenizer's, and stays 0.
func (r *Resolved) QFormerConfig() qformer.Config {
	language := 0
	if r.LanguageModel != nil {
		language = r.LanguageModel.Width
	}
	return r.Shape(nil, r.VisionModel.Width, language, 0)
}

// Plan returns what package train runs.
func (r *Resolved) Plan() train.Plan {
	plan := train.Plan{
		Seed:            r.Seed,
		Evaluation:      train.Evaluation(r.Evaluation),
		Templates:       r.Templates(),
		ProjectionInit:  train.ProjectionFresh,
		MaxTextTokens:   r.Data.MaxTextTokens,
		CheckpointEvery: r.Run.CheckpointEvery,
	}
	if r.Swap != nil && r.Stage == 2 {
		plan.ProjectionInit = r.Swap.Projection
		if r.Swap.WarmupSteps > 0 {
			plan.Phases = append(plan.Phases, r.warmup())
		}
	}
	plan.Phases = append(plan.Phases, r.stage())
	return plan
}

// stage is the recipe's own stage.
func (r *Resolved) stage() train.Phase {
	o := r.Optimizer
	s := train.Phase{
		Name:       "stage-1",
		Objective:  r.objective(),
		Train:      []train.Module{train.QFormer},
		Schedule:   optim.Schedule{Steps: o.Steps, Warmup: o.Warmup, MinFactor: o.MinFactor},
		Optimizer:  r.adamW(map[train.Module]float64{train.QFormer: either(o.QFormerLR, o.LR)}),
		Batch:      o.Batch,
		Accumulate: o.Accumulate,
		Mix:        objective.Mix{Questions: r.Data.Questions, Similar: r.Data.Similar},
		Weights:    objective.Weights{ITC: r.Objective.ITC, ITM: r.Objective.ITM, ITG: r.Objective.ITG},
	}
	if r.Stage == 2 {
		s.Name = "stage-2"
		s.Train = append(s.Train, train.Projection)
		s.Optimizer.LearningRate[train.Projection] = either(o.ProjectionLR, o.LR)
	}
	if r.Swap != nil && r.Swap.FreezeQFormer {
		s.Train, s.CachedQueries = []train.Module{train.Projection}, r.Swap.WarmupImages
		delete(s.Optimizer.LearningRate, train.QFormer)
	}
	return s
}

// objective returns the objective that the recipe names. check has verified the name.
func (r *Resolved) objective() objective.Objective {
	o, _ := objective.ByName(r.Objective.Name)
	return o
}

// warmup trains the projection alone, on cached Q-Former outputs: a tenth of
// its steps up to the peak, then down to a fifth of it, without decay, since a
// matrix that has just been carried over should not be pulled towards zero.
func (r *Resolved) warmup() train.Phase {
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

func (r *Resolved) adamW(rates map[train.Module]float64) train.Optimizer {
	o := r.Optimizer
	return train.Optimizer{LearningRate: rates, Config: optim.Config{
		Beta1: o.Betas[0], Beta2: o.Betas[1], Epsilon: o.Eps, WeightDecay: o.WeightDecay, ClipNorm: o.ClipNorm,
	}}
}

func either(v, otherwise float64) float64 {
	if v > 0 {
		return v
	}
	return otherwise
}
