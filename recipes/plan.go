package recipes

import "github.com/modular-bridging/bridge/train"

// Plan returns what package train runs.
func (r *Resolved) Plan() train.Plan {
	plan := train.Plan{
		Seed:            r.Seed,
		Phases:          []train.Phase{r.stagePhase()},
		Until:           r.until(),
		Templates:       r.Templates(),
		ProjectionInit:  train.ProjectionFresh,
		MaxTextTokens:   r.Data.MaxTextTokens,
		Mixture:         r.Data.Train.mixture(),
		Compute:         r.Run.compute(),
		CheckpointEvery: r.Run.CheckpointEvery,
	}
	r.addSwap(&plan)
	steps := 0
	for _, phase := range plan.Phases {
		steps += phase.Schedule.Steps
	}
	plan.Evaluation = r.Evaluation.plan(steps)
	return plan
}

// stagePhase is the phase of the recipe's own stage.
func (r *Resolved) stagePhase() train.Phase {
	o := r.Optimizer
	p := train.Phase{
		Name:       "stage-1",
		Objective:  r.objective(),
		Train:      []train.Module{train.QFormer},
		Schedule:   o.schedule(),
		Optimizer:  r.adamW(o.rates(r.Stage)),
		Batch:      o.Batch,
		Accumulate: o.Accumulate,
		Mix:        r.Data.mix(),
		Weights:    r.Objective.weights(),
		Augment:    r.Data.augmentation(),
	}
	if r.Stage == 2 {
		p.Name, p.Train = "stage-2", append(p.Train, train.Projection)
	}
	return p
}
