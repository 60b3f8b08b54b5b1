package recipes

import "math"

// StepsFor returns the steps of an option with its own batch that see as many examples as a
// budget at the baseline's batch, at least 1.
func StepsFor(budget, baselineBatch, batch int) int {
	return max(1, int(math.Round(float64(budget)*float64(baselineBatch)/float64(batch))))
}

// TotalSteps returns the optimizer steps of the recipe's phases, warm-up of the projection
// included.
func (r *Recipe) TotalSteps() int {
	if r.Swap == nil {
		return r.Optimizer.Steps
	}
	return r.Optimizer.Steps + r.Swap.WarmupSteps
}

// WithSteps returns the recipe with another number of optimizer steps, warm-up of the projection
// included. All parts keep their share of the steps: the projection's warm-up and the warm-up of
// the learning rate. keepWarmup keeps the number of steps of the projection's warm-up, up to half of
// all steps.
func (r *Resolved) WithSteps(total int, keepWarmup bool) *Resolved {
	c := *r
	share := float64(total) / float64(r.TotalSteps())
	scaled := func(steps int) int { return int(math.Round(share * float64(steps))) }
	warmup := 0
	if r.Swap != nil {
		swap := *r.Swap
		warmup = min(scaled(swap.WarmupSteps), total-1)
		if keepWarmup {
			warmup = min(swap.WarmupSteps, total/2)
		}
		swap.WarmupSteps, c.Swap = warmup, &swap
	}
	c.Optimizer.Steps = total - warmup
	c.Optimizer.Warmup = min(scaledUp(r.Optimizer.Warmup, c.Optimizer.Steps, r.Optimizer.Steps), c.Optimizer.Steps)
	if o := r.Otherwise; o != nil { // sees the same number of examples
		c.Otherwise = o.WithSteps(StepsFor(total, r.Optimizer.Batch, o.Optimizer.Batch), keepWarmup)
	}
	return &c
}

// scaledUp returns part·whole/of, rounded, and at least 1 if part is positive.
func scaledUp(part, whole, of int) int {
	return max(min(part, 1), int(math.Round(float64(part)*float64(whole)/float64(of))))
}
